#ifndef WARREN_RUNTIME_BASE_DEADLINE_H_
#define WARREN_RUNTIME_BASE_DEADLINE_H_

#include <absl/status/status.h>
#include <absl/time/time.h>

#include <cstdint>
#include <functional>
#include <stop_token>

namespace warren::base {

// How long a call may block, and whether somebody still waits for its result.
// The blocking calls of the seams that can be given up take one. Time is
// CLOCK_MONOTONIC: a jump of the wall clock changes no time-out (REL-23).
//
// There are two kinds of cancellation. A std::stop_token wakes whoever waits
// (Condition::Wait, AwaitFd): the calls of the API have one. A function is
// asked every kCancelPoll; it is for what cannot tell, and for short waits.
//
// A value; copies share the cancellation, and a function must outlive them.
// Thread-safe as far as the function is.
class Deadline {
 public:
  // True once nobody waits any more. Cheap and thread-safe; it is polled, see
  // Slice(). Empty: cannot be cancelled.
  using Cancelled = std::function<bool()>;

  // No limit, no cancellation.
  static Deadline Never() { return Deadline(INT64_MAX); }
  // From now on; absl::InfiniteDuration() is Never(), a negative one is over.
  static Deadline After(absl::Duration patience);
  // Nanoseconds of CLOCK_MONOTONIC.
  static Deadline At(int64_t monotonic_ns) { return Deadline(monotonic_ns); }

  // The same, over `patience` from now on at the latest.
  Deadline Within(absl::Duration patience) const;
  // The same, over as well once `cancelled` says so.
  Deadline CancelledBy(Cancelled cancelled) const;
  // The same for a stop that is requested. Of two such tokens the second is
  // polled.
  Deadline CancelledBy(std::stop_token stop) const;

  // Time left; never negative, zero once it has passed. Does not look at the
  // cancellation.
  absl::Duration Remaining() const;
  // Nanoseconds of CLOCK_MONOTONIC; INT64_MAX = no limit.
  int64_t monotonic_ns() const { return at_; }
  bool cancelled() const {
    return stop_.stop_requested() || (cancelled_ && cancelled_());
  }
  // Wakes who waits; stop_possible() is false when there is none.
  const std::stop_token& stop() const { return stop_; }

  // OK while there is time and somebody waits, else kCancelled or
  // kDeadlineExceeded.
  absl::Status Check() const;

  // Longest sleep before Check() has to be asked again: what is left, at most
  // kCancelPoll when it can be cancelled by a function. For loops around
  // poll(2) and condition variables, which stop() has to wake beside it.
  absl::Duration Slice() const;
  // Slice() for poll(2) and epoll_wait(2): milliseconds, rounded up so that a
  // loop does not spin; -1 = no limit.
  int PollMilliseconds() const;

  // How late a cancellation by a function may be noticed.
  static constexpr absl::Duration kCancelPoll = absl::Milliseconds(25);

 private:
  explicit Deadline(int64_t at) : at_(at) {}

  int64_t at_;
  std::stop_token stop_;
  Cancelled cancelled_;
};

// Returns once poll(2) finds `events` (POLLIN, POLLOUT), an error or a hang-up
// on `fd`: OK. Else kDeadlineExceeded, kCancelled, or what poll(2) said. A
// deadline that is over already still takes one look. Where no descriptor is
// left to be woken by, a stop is noticed within kCancelPoll.
absl::Status AwaitFd(int fd, int16_t events, const Deadline& deadline);

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_DEADLINE_H_
