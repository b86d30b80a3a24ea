#ifndef WARREN_AGENT_CALLER_CALL_CONTEXT_H_
#define WARREN_AGENT_CALLER_CALL_CONTEXT_H_

#include <absl/time/clock.h>
#include <absl/time/time.h>

#include <cstdint>
#include <functional>

#include "runtime/base/clock.h"

namespace warren::agent {

// What a manager needs to know of the call it works for, without gRPC: how
// long the caller waits, and whether it still does. Every wait inside a call
// ends at `deadline` or when `cancelled` says so (REL-12). Value type; the
// functions live as long as the call.
struct CallContext {
  // Of the caller; absl::InfiniteFuture() when it set none.
  absl::Time deadline = absl::InfiniteFuture();
  // True once the caller has gone away or gave up. Cheap, thread-safe, never
  // empty.
  std::function<bool()> cancelled = [] { return false; };

  // When the call came, by both clocks: a jump of the wall clock afterwards
  // neither shortens nor lengthens what is left (REL-23).
  absl::Time came_at = absl::Now();
  int64_t came_at_monotonic_ns = base::SystemClock().MonotonicNow();

  // Time left until the deadline; never negative.
  absl::Duration Remaining() const {
    const absl::Duration spent = absl::Nanoseconds(
        base::SystemClock().MonotonicNow() - came_at_monotonic_ns);
    const absl::Duration left = deadline - came_at - spent;
    return left > absl::ZeroDuration() ? left : absl::ZeroDuration();
  }
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_CALLER_CALL_CONTEXT_H_
