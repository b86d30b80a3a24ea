#include "agent/store/operation_lock.h"

#include "runtime/base/deadline.h"

namespace warren::agent {
namespace {

// Cancellation has no wake-up of its own (gRPC's synchronous calls can only be
// asked), so waits look up this often.
constexpr absl::Duration kPoll = absl::Milliseconds(25);

}  // namespace

absl::Status StillWanted(const CallContext& call) {
  if (call.cancelled()) {
    return absl::CancelledError("the caller has given up");
  }
  if (call.Remaining() == absl::ZeroDuration()) {
    return absl::DeadlineExceededError("the caller's deadline has passed");
  }
  return absl::OkStatus();
}

absl::StatusOr<OperationLock::Guard> OperationLock::Acquire(
    const CallContext& call) {
  for (;;) {
    {
      const base::MutexLock lock(&mutex_);
      if (!busy_) {
        busy_ = true;
        return Guard(this);
      }
    }
    // Without the mutex: it calls out.
    if (absl::Status wanted = StillWanted(call); !wanted.ok()) return wanted;
    const base::MutexLock lock(&mutex_);
    if (busy_) freed_.Wait(&mutex_, base::Deadline::After(kPoll));
  }
}

OperationLock::Guard OperationLock::TryAcquire() {
  const base::MutexLock lock(&mutex_);
  if (std::exchange(busy_, true)) return Guard();
  return Guard(this);
}

void OperationLock::Release() {
  {
    const base::MutexLock lock(&mutex_);
    busy_ = false;
  }
  freed_.NotifyOne();
}

}  // namespace warren::agent
