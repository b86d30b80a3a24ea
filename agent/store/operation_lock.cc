#include "agent/store/operation_lock.h"

#include <chrono>

namespace warren::agent {
namespace {

// Cancellation has no wake-up of its own (gRPC's synchronous calls can only be
// asked), so waits look up this often.
constexpr std::chrono::milliseconds kPoll(25);

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
  std::unique_lock<std::mutex> lock(mutex_);
  while (busy_) {
    lock.unlock();
    if (absl::Status wanted = StillWanted(call); !wanted.ok()) return wanted;
    lock.lock();
    freed_.wait_for(lock, kPoll, [this] { return !busy_; });
  }
  busy_ = true;
  return Guard(this);
}

OperationLock::Guard OperationLock::TryAcquire() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (std::exchange(busy_, true)) return Guard();
  return Guard(this);
}

void OperationLock::Release() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    busy_ = false;
  }
  freed_.notify_one();
}

}  // namespace warren::agent
