#ifndef WARREN_AGENT_PODS_EXEC_SYNC_H_
#define WARREN_AGENT_PODS_EXEC_SYNC_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

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

// Runs `command` in the container, its stdin /dev/null. Output beyond the limit
// or the budget is read and dropped (STR-3). Blocks until the program has ended
// and its pipes are at their end, or 200 ms after the program when something
// that it left behind holds them.
//
// kDeadlineExceeded: the time-out has passed, or `caller`; kCancelled: `caller`
// was. Either way the program and all that it forked are dead on return. What
// the kernel cannot end (frozen, state D) was sent SIGKILL and dies when it
// can: the call returns ExecProcess::kEndPatience later at most. Thread-safe;
// needs no thread.
absl::StatusOr<ExecSyncResult> RunExecSync(runtime::Runtime* runtime,
                                           const std::string& container_id,
                                           const ExecSyncCommand& command,
                                           OutputBudget* budget,
                                           const base::Deadline& caller);

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_EXEC_SYNC_H_
