#include "agent/store/change_feed.h"

#include <algorithm>
#include <utility>

#include "runtime/base/status.h"

namespace warren::agent {

void ChangeFeed::Publish(const std::string& id, ObjectChange::What what,
                         size_t bytes) {
  std::vector<Entry> dropped;
  {
    const base::MutexLock lock(&mutex_);
    ++last_;
    if (next_.empty()) return;
    ring_.push_back(
        {{id, last_, clock_->MonotonicNow(), std::move(what)}, bytes});
    bytes_ += bytes;
    while (ring_.size() > limits_.entries || bytes_ > limits_.bytes) {
      DropOldest(&dropped);
    }
  }
  changed_.NotifyAll();
}

uint64_t ChangeFeed::last() const {
  const base::MutexLock lock(&mutex_);
  return last_;
}

std::unique_ptr<ChangeFeed::Reader> ChangeFeed::Subscribe() {
  std::unique_ptr<Reader> reader(new Reader(this));
  const base::MutexLock lock(&mutex_);
  next_[reader.get()] = last_ + 1;
  return reader;
}

void ChangeFeed::Leave(const Reader* reader) {
  std::vector<Entry> passed;
  const base::MutexLock lock(&mutex_);
  next_.erase(reader);
  DropSeen(&passed);
}

absl::StatusOr<ChangeFeed::Batch> ChangeFeed::Read(
    const Reader* reader, size_t max, const base::Deadline& deadline) {
  for (;;) {
    Batch batch;
    std::vector<Entry> passed;
    {
      const base::MutexLock lock(&mutex_);
      if (Take(reader, std::max<size_t>(max, 1), &batch, &passed)) {
        return batch;
      }
    }
    RETURN_IF_ERROR(deadline.Check());
    const base::MutexLock lock(&mutex_);
    if (next_[reader] > last_) changed_.Wait(&mutex_, deadline);
  }
}

bool ChangeFeed::Take(const Reader* reader, size_t max, Batch* batch,
                      std::vector<Entry>* passed) {
  uint64_t& next = next_[reader];
  if (next > last_) return false;
  if (next < oldest()) {
    batch->lost = oldest() - next;
    next = oldest();
  }
  const size_t count = std::min<uint64_t>(max, last_ + 1 - next);
  batch->changes.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    batch->changes.push_back(ring_[next++ - oldest()].change);
  }
  DropSeen(passed);
  return true;
}

void ChangeFeed::DropSeen(std::vector<Entry>* passed) {
  uint64_t wanted = last_ + 1;
  for (const auto& [reader, next] : next_) wanted = std::min(wanted, next);
  while (!ring_.empty() && oldest() < wanted) DropOldest(passed);
}

void ChangeFeed::DropOldest(std::vector<Entry>* passed) {
  bytes_ -= ring_.front().bytes;
  passed->push_back(std::move(ring_.front()));
  ring_.pop_front();
}

}  // namespace warren::agent
