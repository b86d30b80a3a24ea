#include "runtime/base/deadline.h"

#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

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
  return Deadline(FromNow(patience));
}

Deadline Deadline::Within(absl::Duration patience) const {
  Deadline result = *this;
  result.at_ = std::min(at_, FromNow(patience));
  return result;
}

Deadline Deadline::CancelledBy(Cancelled cancelled) const {
  Deadline result = *this;
  if (!cancelled) return result;
  if (!cancelled_) {
    result.cancelled_ = std::move(cancelled);
  } else {
    result.cancelled_ = [first = cancelled_, second = std::move(cancelled)] {
      return first() || second();
    };
  }
  return result;
}

Deadline Deadline::CancelledBy(std::stop_token stop) const {
  if (!stop.stop_possible()) return *this;
  if (stop_.stop_possible()) {
    return CancelledBy([stop] { return stop.stop_requested(); });
  }
  Deadline result = *this;
  result.stop_ = std::move(stop);
  return result;
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

namespace {

// Makes a poll(2) return when a stop is requested.
class StopEvent {
 public:
  explicit StopEvent(const std::stop_token& stop)
      : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), callback_(stop, [this] {
          if (event_.valid()) eventfd_write(event_.get(), 1);
        }) {}

  // -1 when there is none, which poll(2) passes over.
  int fd() const { return event_.valid() ? event_.get() : -1; }

 private:
  const UniqueFd event_;
  // Destroyed first: it uses the event.
  const std::stop_callback<std::function<void()>> callback_;
};

}  // namespace

absl::Status AwaitFd(int fd, int16_t events, const Deadline& deadline) {
  std::optional<StopEvent> stop;
  // Most waits are over at the first look, which needs no event.
  int patience = 0;
  while (true) {
    pollfd polled[] = {{fd, events, 0},
                       {stop.has_value() ? stop->fd() : -1, POLLIN, 0}};
    const int ready = poll(polled, 2, patience);
    if (ready < 0 && errno != EINTR) return ErrnoError(errno, "poll");
    if (ready < 0 && patience == 0) continue;  // it has not looked
    if (ready > 0 && polled[0].revents != 0) return absl::OkStatus();
    if (absl::Status status = deadline.Check(); !status.ok()) return status;
    if (!stop.has_value() && deadline.stop().stop_possible()) {
      stop.emplace(deadline.stop());
    }
    patience = deadline.PollMilliseconds();
    if (stop.has_value() && stop->fd() < 0) {
      patience = deadline.Within(Deadline::kCancelPoll).PollMilliseconds();
    }
  }
}

}  // namespace warren::base
