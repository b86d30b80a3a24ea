#ifndef WARREN_AGENT_HOST_PROCESS_SETUP_H_
#define WARREN_AGENT_HOST_PROCESS_SETUP_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"

// What the daemon settles about its own process before it does anything.
// All of it changes process-wide state. Call each once, from main(), before any
// thread exists.
namespace warren::agent {

// No core dumps and no ptrace by others of the same user (secrets, API-8),
// files for root alone, as many descriptors as the hard limit gives, the last
// to be killed when memory runs out. What the host refuses comes back as one
// sentence each and is no error.
std::vector<std::string> HardenProcess();

// Makes the state directory (0700) and locks <state_dir>/lock (flock(2)) until
// the result is closed or the process ends. Does not wait for the lock:
// kFailedPrecondition when another daemon has it.
absl::StatusOr<base::UniqueFd> LockState(const std::string& state_dir);

// SIGTERM and SIGINT. Blocks them in the constructor, so that every later
// thread has them blocked, and waits for them on a thread of its own, which
// lives as long as the process:
//   before Serving()   the process ends at once with code 0; whatever was
//                      begun is undone by the next start
//   the first after    Wait() returns
//   the second, or `grace` after the first: the process ends at once
// So the end of the process depends on no call that hangs. The grace is of the
// monotonic clock (sigtimedwait(2)). Thread-safe; must not be destroyed before
// the process ends.
class ShutdownSignals {
 public:
  explicit ShutdownSignals(absl::Duration grace);
  // There is something to drain from now on. Does not block.
  void Serving();
  // Blocks until the first signal after Serving().
  void Wait();

 private:
  void Loop();

  const absl::Duration grace_;
  absl::Mutex mutex_;
  bool serving_ ABSL_GUARDED_BY(mutex_) = false;
  bool requested_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_HOST_PROCESS_SETUP_H_
