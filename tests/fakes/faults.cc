#include "tests/fakes/faults.h"

#include <algorithm>
#include <utility>

namespace warren::test {

void Faults::Fail(const std::string& step, int times) {
  absl::MutexLock lock(&mutex_);
  orders_[step] = times;
}

void Faults::Heal() {
  absl::MutexLock lock(&mutex_);
  orders_.clear();
}

absl::Status Faults::Before(const std::string& step) {
  absl::MutexLock lock(&mutex_);
  calls_.push_back(step);
  const auto order = orders_.find(step);
  if (order == orders_.end() || order->second == 0) return absl::OkStatus();
  --order->second;
  return absl::InternalError("ordered failure of " + step);
}

void Faults::After(const std::string& step) {
  if (observer_) observer_(step);
}

void Faults::Observe(std::function<void(const std::string&)> observer) {
  observer_ = std::move(observer);
}

std::vector<std::string> Faults::calls() const {
  absl::MutexLock lock(&mutex_);
  return calls_;
}

int Faults::Count(const std::string& step) const {
  absl::MutexLock lock(&mutex_);
  return std::count(calls_.begin(), calls_.end(), step);
}

void Faults::ClearCalls() {
  absl::MutexLock lock(&mutex_);
  calls_.clear();
}

}  // namespace warren::test
