#ifndef WARREN_AGENT_CALLER_STEPS_H_
#define WARREN_AGENT_CALLER_STEPS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <poll.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/base/deadline.h"

// Calls that wait long, cut at their waits: what they wait for is a value, so
// that they need no thread meanwhile (api/parking.h).
namespace warren::agent {

// What a call waits for: the first of these.
struct Pause {
  // One of them has what it is polled for. They stay open until the next step.
  std::vector<pollfd> fds;
  // Nanoseconds of CLOCK_MONOTONIC.
  int64_t until_ns = INT64_MAX;
  // May be empty. Called once, with what is to be called at a change of
  // something, on any thread, now or later; must not wait. Returns what ends
  // that: once it has returned, the first is not called any more.
  std::function<std::function<void()>(std::function<void()> wake)> watch = {};
};

// One call. Thread-compatible: its steps come from different threads, one after
// the other. Destroyed before its end, it gives up what it waits for.
class Steps {
 public:
  virtual ~Steps() = default;

  // The next step. It may do I/O and wait for a moment, as every call does; for
  // what may take long it returns the Pause after which it wants to go on. It
  // may be called earlier. None: the call is done; an error is its end too.
  virtual absl::StatusOr<std::optional<Pause>> Next() = 0;
};

// A call that is over before it has begun.
class Refusal final : public Steps {
 public:
  explicit Refusal(absl::Status why) : why_(std::move(why)) {}
  absl::StatusOr<std::optional<Pause>> Next() override { return why_; }

 private:
  const absl::Status why_;  // an error
};

// Runs the steps on this thread, to the end. A pause also ends with `deadline`,
// after which the steps are asked once more: they know it, too.
absl::Status RunSteps(Steps* steps, const base::Deadline& deadline);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CALLER_STEPS_H_
