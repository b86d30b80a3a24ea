#ifndef WARREN_RUNTIME_EXEC_H_
#define WARREN_RUNTIME_EXEC_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/deadline.h"
#include "runtime/base/process.h"
#include "runtime/base/unique_fd.h"

// Exec sessions: what Runtime::StartExec takes and gives. Part of the seam
// runtime.h, through which the agent includes it.
namespace warren::runtime {

struct TerminalSize {
  uint16_t rows = 0;  // 0 with columns 0 = the kernel's default
  uint16_t columns = 0;
  bool operator==(const TerminalSize&) const = default;
};

// A program to run inside a container, beside what runs there.
struct ExecSpec {
  std::vector<std::string> args;  // args[0] is looked up in PATH inside
  // What the program gets as 0, 1 and 2; an invalid one is /dev/null. Owned:
  // when StartExec returns, the program's side is the program's alone, so that
  // the reader of a pipe sees end-of-file when the last writer inside ends. A
  // pipe is given to the program's user (fchown), who can then open
  // /dev/stdout anew.
  base::UniqueFd stdin_fd;
  base::UniqueFd stdout_fd;
  base::UniqueFd stderr_fd;
  // Instead of the three: a terminal of the container's own devpts, of that
  // size; ExecProcess::TakeTerminal() has its other side.
  std::optional<TerminalSize> terminal;
};

// How the program of an exec session ended.
struct ExecExit {
  int32_t exit_code = 255;     // 128 + n when killed by signal n
  int32_t signal = 0;          // 0 = it exited by itself
  int64_t finished_at_ns = 0;  // CLOCK_REALTIME
};

// A program that StartExec started. It ends with its container, with the agent,
// and with this object.
//
// One thread at a time waits. The other calls may come from any thread, also
// while one waits.
class ExecProcess {
 public:
  // How long the end of what was killed is waited for.
  static constexpr absl::Duration kEndPatience = absl::Seconds(1);

  // While the program runs: as Kill(), then waits until all of it is dead: a
  // few milliseconds; at most kEndPatience from Kill() on, for what the kernel
  // cannot end (state D, frozen). That dies when it can, and is reaped later.
  // Once the program has ended: frees what is left of the session, and does not
  // touch what the program left in the background.
  virtual ~ExecProcess() = default;

  // The program, host numbers.
  virtual base::ProcessId process() const = 0;

  // Our side of the terminal, once; invalid without one. Reads fail with EIO
  // when no process has the terminal open any more. The session keeps a
  // descriptor of its own: closing this one hangs nothing up.
  virtual base::UniqueFd TakeTerminal() = 0;

  // For poll(2): readable (POLLIN) when Wait() will not block.
  virtual int event_fd() const = 0;

  // How the program ended; the same answer when asked again. Blocks until it
  // has ended, or `deadline`: kDeadlineExceeded or kCancelled, and the program
  // goes on. kUnavailable: the session's shim was killed, which says nothing of
  // the program.
  virtual absl::StatusOr<ExecExit> Wait(const base::Deadline& deadline) = 0;

  // To the program only. OK when it has ended. Does not block.
  virtual absl::Status Signal(int signal) = 0;

  // kFailedPrecondition without a terminal. Does not block; the kernel sends
  // SIGWINCH to the foreground processes.
  virtual absl::Status Resize(TerminalSize size) = 0;

  // SIGKILL to the program and all that it forked (its session and every
  // descendant that is still found as one). Does not block: Wait() returns
  // after the last of them has died. OK when the program has ended; what it
  // left in the background then stays.
  virtual absl::Status Kill() = 0;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_EXEC_H_
