#include "runtime/base/deadline.h"

#include <limits.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/base/status.h"

namespace warren::base {
namespace {

int64_t Now() { return SystemClock().MonotonicNow(); }

// `patience` from now, without overflow.
int64_t FromNow(absl::Duration patience) {
  const int64_t now = Now();
  const absl::Duration most = absl::Nanoseconds(INT64_MAX - now);
  if (patience >= most) return INT64_MAX;
  return now + absl::ToInt64Nanoseconds(std::max(patience, -absl::Hours(1)));
}

}  // namespace

Deadline Deadline::After(absl::Duration patience) {
  return Deadline(FromNow(patience), nullptr);
}

Deadline Deadline::Within(absl::Duration patience) const {
  return Deadline(std::min(at_, FromNow(patience)), cancelled_);
}

Deadline Deadline::CancelledBy(Cancelled cancelled) const {
  if (!cancelled) return *this;
  if (!cancelled_) return Deadline(at_, std::move(cancelled));
  return Deadline(at_, [first = cancelled_, second = std::move(cancelled)] {
    return first() || second();
  });
}

absl::Duration Deadline::Remaining() const {
  if (at_ == INT64_MAX) return absl::InfiniteDuration();
  return absl::Nanoseconds(std::max<int64_t>(0, at_ - Now()));
}

absl::Status Deadline::Check() const {
  if (cancelled()) return absl::CancelledError("the caller has gone");
  if (Remaining() == absl::ZeroDuration()) {
    return absl::DeadlineExceededError("the time is over");
  }
  return absl::OkStatus();
}

absl::Duration Deadline::Slice() const {
  return cancelled_ ? std::min(Remaining(), kCancelPoll) : Remaining();
}

int Deadline::PollMilliseconds() const {
  const absl::Duration slice = Slice();
  if (slice == absl::InfiniteDuration()) return -1;
  return static_cast<int>(std::min<int64_t>(
      INT_MAX, absl::ToInt64Milliseconds(slice + absl::Microseconds(999))));
}

absl::Status AwaitFd(int fd, int16_t events, const Deadline& deadline) {
  while (true) {
    pollfd polled = {fd, events, 0};
    const int ready = poll(&polled, 1, deadline.PollMilliseconds());
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return ErrnoError(errno, "poll");
    if (absl::Status status = deadline.Check(); !status.ok()) return status;
  }
}

}  // namespace warren::base
