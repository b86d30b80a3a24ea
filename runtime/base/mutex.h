#ifndef WARREN_RUNTIME_BASE_MUTEX_H_
#define WARREN_RUNTIME_BASE_MUTEX_H_

#include <absl/base/thread_annotations.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "runtime/base/deadline.h"

// Locks that clang checks (-Wthread-safety) and whose waits run on the
// monotonic clock: those of std::condition_variable_any::wait_for do, the
// time-outs of absl::CondVar run on the wall clock (REL-23).
namespace warren::base {

class ABSL_LOCKABLE Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  friend class Condition;
  std::mutex mutex_;
};

// Holds the mutex while it lives.
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex)
      : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

// What a thread waits for under a mutex. Loop: check the condition, check the
// deadline, Wait().
class Condition {
 public:
  // Returns after a notification, once Slice() of `deadline` has passed, when
  // its stop is requested, or for no reason. The mutex is free meanwhile and
  // held on return.
  void Wait(Mutex* mutex, const Deadline& deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    const absl::Duration slice = deadline.Slice();
    // False at the first look: one wait, whatever ends it.
    bool looked = false;
    const auto over = [&looked] { return std::exchange(looked, true); };
    if (slice == absl::InfiniteDuration()) {
      changed_.wait(lock, deadline.stop(), over);
    } else {
      changed_.wait_for(lock, deadline.stop(), absl::ToChronoNanoseconds(slice),
                        over);
    }
    lock.release();
  }
  void NotifyAll() { changed_.notify_all(); }
  void NotifyOne() { changed_.notify_one(); }

 private:
  // The kind that a stop token can wake.
  std::condition_variable_any changed_;
};

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_MUTEX_H_
