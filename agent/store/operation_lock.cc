#include "agent/store/operation_lock.h"

#include "runtime/base/status.h"

namespace warren::agent {

absl::StatusOr<OperationLock::Guard> OperationLock::Acquire(
    const base::Deadline& deadline) {
  base::MutexLock lock(&mutex_);
  while (busy_) {
    RETURN_IF_ERROR(deadline.Check());
    ++waiting_;
    freed_.Wait(&mutex_, deadline);
    --waiting_;
  }
  busy_ = true;
  return Guard(this);
}

OperationLock::Guard OperationLock::TryAcquire() {
  const base::MutexLock lock(&mutex_);
  if (busy_ || visits_ > 0) return Guard();
  busy_ = true;
  return Guard(this);
}

void OperationLock::Release() {
  {
    const base::MutexLock lock(&mutex_);
    busy_ = false;
  }
  freed_.NotifyOne();
}

bool OperationLock::wanted() const {
  const base::MutexLock lock(&mutex_);
  return waiting_ > 0 || visits_ > 0;
}

void OperationLock::Come() {
  const base::MutexLock lock(&mutex_);
  ++visits_;
}

void OperationLock::Go() {
  const base::MutexLock lock(&mutex_);
  --visits_;
}

}  // namespace warren::agent
