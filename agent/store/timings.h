#ifndef WARREN_AGENT_STORE_TIMINGS_H_
#define WARREN_AGENT_STORE_TIMINGS_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"

namespace warren::agent {

// How long each named phase of an object's set-up took; shown by inspection.
// Lost at a restart of the agent. Thread-safe.
class Timings {
 public:
  struct Phase {
    std::string name;
    int64_t nanoseconds = 0;
  };

  void Add(std::string name, int64_t nanoseconds) {
    absl::MutexLock lock(&mutex_);
    phases_.push_back({std::move(name), nanoseconds});
  }
  std::vector<Phase> Get() const {
    absl::MutexLock lock(&mutex_);
    return phases_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<Phase> phases_ ABSL_GUARDED_BY(mutex_);
};

// A stop watch over consecutive phases: Done(name) books the time since the
// last Done. Single-threaded.
class PhaseTimer {
 public:
  PhaseTimer(Timings* timings, const base::Clock* clock)
      : timings_(timings), clock_(clock), last_(clock->MonotonicNow()) {}

  void Done(std::string phase) {
    const int64_t now = clock_->MonotonicNow();
    timings_->Add(std::move(phase), now - std::exchange(last_, now));
  }

 private:
  Timings* const timings_;
  const base::Clock* const clock_;
  int64_t last_;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_STORE_TIMINGS_H_
