#include <algorithm>
#include <utility>

#include "agent/store/store.h"

// What a container has beside its state: its layers, and its stops.
namespace warren::agent {

void Container::HoldImages(ContainerImages images) {
  const base::MutexLock lock(&images_mutex_);
  std::swap(images_, images);  // those before go without the lock
}

bool Container::JoinStop(int64_t kill_at) {
  bool first = false;
  {
    const base::MutexLock lock(&stop_mutex_);
    first = stop_waiters_++ == 0;
  }
  HastenStop(kill_at);
  return first;
}

void Container::HastenStop(int64_t kill_at) {
  {
    const base::MutexLock lock(&stop_mutex_);
    kill_at_ = std::min(kill_at_, kill_at);
  }
  Wake();
}

void Container::LeaveStop() {
  const base::MutexLock lock(&stop_mutex_);
  if (--stop_waiters_ == 0) kill_at_ = INT64_MAX;
}

int64_t Container::kill_at() const {
  const base::MutexLock lock(&stop_mutex_);
  return kill_at_;
}

}  // namespace warren::agent
