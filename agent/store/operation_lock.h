#ifndef WARREN_AGENT_STORE_OPERATION_LOCK_H_
#define WARREN_AGENT_STORE_OPERATION_LOCK_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <utility>

#include "agent/caller/call_context.h"
#include "runtime/base/mutex.h"

namespace warren::agent {

// The queue before one object: at most one life-cycle operation runs at a
// time. Unlike a mutex it may be held across I/O, and waiting for it ends with
// the caller's patience (REL-12). Thread-safe.
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

  // kDeadlineExceeded or kCancelled when the caller gave up first.
  absl::StatusOr<Guard> Acquire(const CallContext& call);
  // Not held when somebody else has it.
  Guard TryAcquire();

 private:
  void Release();

  base::Mutex mutex_;
  base::Condition freed_;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
};

// OK while the caller still waits, else kCancelled or kDeadlineExceeded.
absl::Status StillWanted(const CallContext& call);

}  // namespace warren::agent

#endif  // WARREN_AGENT_STORE_OPERATION_LOCK_H_
