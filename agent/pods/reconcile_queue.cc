#include "agent/pods/reconcile_queue.h"

#include <algorithm>

#include "runtime/base/clock.h"
#include "runtime/base/deadline.h"

namespace warren::agent {
namespace {

int64_t MonotonicNow() { return base::SystemClock().MonotonicNow(); }

}  // namespace

void ReconcileQueue::Add(const ReconcileKey& key) {
  {
    const base::MutexLock lock(&mutex_);
    const int64_t now = MonotonicNow();
    const auto [at, added] = entries_.try_emplace(key, Entry{.due = now});
    Entry& entry = at->second;
    if (entry.taken) {
      entry.once_more = true;
    } else {
      entry.due = std::min(entry.due, now);
    }
  }
  changed_.NotifyAll();
}

void ReconcileQueue::AddAll() {
  {
    const base::MutexLock lock(&mutex_);
    const int64_t now = MonotonicNow();
    for (auto& entry : entries_) {
      if (entry.second.taken) {
        entry.second.once_more = true;
      } else {
        entry.second.due = std::min(entry.second.due, now);
      }
    }
  }
  changed_.NotifyAll();
}

std::optional<ReconcileKey> ReconcileQueue::Next() {
  const base::MutexLock lock(&mutex_);
  while (!closed_) {
    auto first = entries_.end();
    for (auto at = entries_.begin(); at != entries_.end(); ++at) {
      if (at->second.taken || (at->second.is_long && long_taken_) ||
          (at->first.slow() && slow_taken_ >= slow_limit_)) {
        continue;
      }
      if (first == entries_.end() || at->second.due < first->second.due) {
        first = at;
      }
    }
    if (first == entries_.end()) {
      changed_.Wait(&mutex_, base::Deadline::Never());
    } else if (first->second.due > MonotonicNow()) {
      changed_.Wait(&mutex_, base::Deadline::At(first->second.due));
    } else {
      first->second.taken = true;
      if (first->first.slow()) ++slow_taken_;
      if (first->second.is_long) long_taken_ = true;
      return first->first;
    }
  }
  return std::nullopt;
}

void ReconcileQueue::Done(const ReconcileKey& key,
                          std::optional<absl::Duration> again,
                          absl::Duration took) {
  {
    const base::MutexLock lock(&mutex_);
    const auto at = entries_.find(key);
    if (key.slow()) --slow_taken_;
    Entry& entry = at->second;
    if (entry.is_long) long_taken_ = false;
    if (!again.has_value() && !entry.once_more) {
      entries_.erase(at);
    } else {
      const absl::Duration pause =
          entry.once_more ? absl::ZeroDuration() : *again;
      entry = {.due = MonotonicNow() + absl::ToInt64Nanoseconds(pause),
               .is_long = key.slow() && took >= kLong};
    }
  }
  changed_.NotifyAll();
}

void ReconcileQueue::Close() {
  {
    const base::MutexLock lock(&mutex_);
    closed_ = true;
  }
  changed_.NotifyAll();
}

}  // namespace warren::agent
