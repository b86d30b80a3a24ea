#ifndef WARREN_AGENT_PODS_EXEC_SYNC_H_
#define WARREN_AGENT_PODS_EXEC_SYNC_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/caller/steps.h"
#include "agent/pods/output_collector.h"
#include "runtime/base/deadline.h"
#include "runtime/runtime.h"

// A command that is run to its end, its output collected: what ExecSync makes
// of Runtime::StartExec. Knows neither CRI nor the store.
namespace warren::agent {

struct ExecSyncCommand {
  std::vector<std::string> args;
  absl::Duration timeout = absl::InfiniteDuration();
  size_t output_limit_bytes = 0;  // for stdout and stderr together
};

struct ExecSyncResult {
  int32_t exit_code = 0;  // 128 + n when killed by signal n
  std::string stdout_data;
  std::string stderr_data;
};

// One run of a command, its stdin /dev/null, in steps. Output beyond the limit
// or the budget is read and dropped (STR-3). It is over when the program has
// ended and its pipes are at their end, or 200 ms after the program when
// something that it left behind holds them.
//
// The time of the command counts from Start. The errors of both functions:
// kDeadlineExceeded: the time-out has passed, or `caller`; kCancelled: `caller`
// was. Either way the program and all that it forked are dead on return. What
// the kernel cannot end (frozen, state D) was sent SIGKILL and dies when it
// can: the call returns ExecProcess::kEndPatience later at most.
//
// Thread-compatible. Its destructor ends a program that runs, as ~ExecProcess.
class ExecSyncRun {
 public:
  // Starts the program, which takes milliseconds.
  static absl::StatusOr<std::unique_ptr<ExecSyncRun>> Start(
      runtime::Runtime* runtime, const std::string& container_id,
      ExecSyncCommand command, OutputBudget* budget, base::Deadline caller);
  ~ExecSyncRun();

  // Does what there is to do now. None: it is over, TakeResult(). Otherwise to
  // be called again after the pause, and when `caller` is over: the pause knows
  // its time, but not its cancellation.
  absl::StatusOr<std::optional<Pause>> Next();
  // The program has ended; what it left may still hold its pipes.
  bool exited() const { return exit_.has_value(); }
  // Once.
  ExecSyncResult TakeResult();

 private:
  ExecSyncRun(ExecSyncCommand command, base::Deadline caller);
  absl::Status Step();
  absl::Status CheckDeadline();
  absl::Status CheckExit();
  bool Finished() const;
  // A time-out of the command is not one of the caller.
  absl::Status Explain(const absl::Status& status) const;

  const ExecSyncCommand command_;
  const base::Deadline caller_;
  const base::Deadline deadline_;
  std::unique_ptr<OutputCollector> output_;
  std::unique_ptr<runtime::ExecProcess> process_;
  std::optional<runtime::ExecExit> exit_;
  base::Deadline drained_ = base::Deadline::Never();
};

// All of it on this thread.
absl::StatusOr<ExecSyncResult> RunExecSync(runtime::Runtime* runtime,
                                           const std::string& container_id,
                                           const ExecSyncCommand& command,
                                           OutputBudget* budget,
                                           const base::Deadline& caller);

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_EXEC_SYNC_H_
