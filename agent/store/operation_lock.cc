#include "agent/store/operation_lock.h"

#include "runtime/base/status.h"

namespace warren::agent {

absl::StatusOr<OperationLock::Guard> OperationLock::Acquire(
    const base::Deadline& deadline) {
  base::MutexLock lock(&mutex_);
  while (busy_) {
    RETURN_IF_ERROR(deadline.Check());
    freed_.Wait(&mutex_, deadline);
  }
  busy_ = true;
  return Guard(this);
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
