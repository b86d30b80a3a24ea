#ifndef WARREN_AGENT_STORE_OPERATION_LOCK_H_
#define WARREN_AGENT_STORE_OPERATION_LOCK_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>

#include <utility>

#include "runtime/base/deadline.h"
#include "runtime/base/mutex.h"

namespace warren::agent {

// The queue before one object: at most one life-cycle operation runs at a
// time. Unlike a mutex it may be held across I/O, and waiting for it ends with
// the caller's patience (REL-12). It is not fair: the first waiter that looks
// when the lock is given back takes it. Thread-safe.
class OperationLock {
 public:
  // Holds the lock until destroyed. Move-only; may change threads.
  class Guard {
   public:
    Guard() = default;
    explicit Guard(OperationLock* lock) : lock_(lock) {}
    Guard(Guard&& other) noexcept
        : lock_(std::exchange(other.lock_, nullptr)) {}
    Guard& operator=(Guard&& other) noexcept {
      Reset();
      lock_ = std::exchange(other.lock_, nullptr);
      return *this;
    }
    ~Guard() { Reset(); }

    bool held() const { return lock_ != nullptr; }
    void Reset() {
      if (lock_ != nullptr) std::exchange(lock_, nullptr)->Release();
    }

   private:
    OperationLock* lock_ = nullptr;
  };

  // A call that works on the object and lets go of the lock while it waits for
  // something else. Until the end of its last visit TryAcquire gives the lock
  // to nobody; Acquire does not care. Move-only.
  class Visit {
   public:
    explicit Visit(OperationLock* lock) : lock_(lock) { lock_->Come(); }
    Visit(Visit&& other) noexcept
        : lock_(std::exchange(other.lock_, nullptr)) {}
    Visit& operator=(Visit&&) = delete;
    ~Visit() {
      if (lock_ != nullptr) lock_->Go();
    }

   private:
    OperationLock* lock_;
  };

  // Blocks until the lock is free or `deadline` ends the wait, which is
  // kDeadlineExceeded or kCancelled then; a cancellation is noticed after
  // Deadline::kCancelPoll at the latest. A free lock is taken even if the
  // deadline has passed.
  absl::StatusOr<Guard> Acquire(const base::Deadline& deadline);
  // For work that nobody waits for: the guard is not held when somebody else
  // has the lock or is on a visit. Does not block.
  Guard TryAcquire();
  // Somebody waits for the lock, or has come to visit.
  bool wanted() const;

 private:
  void Release();
  void Come();
  void Go();

  mutable base::Mutex mutex_;
  base::Condition freed_;  // busy_ became false
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  int visits_ ABSL_GUARDED_BY(mutex_) = 0;
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_STORE_OPERATION_LOCK_H_
