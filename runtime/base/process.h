#ifndef WARREN_RUNTIME_BASE_PROCESS_H_
#define WARREN_RUNTIME_BASE_PROCESS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"

// Processes by identity, never by bare number: a (pid, start time) pair on
// record, a pidfd in hand (REL-9). Thread-safe.
namespace warren::base {

struct ProcessId {
  pid_t pid = 0;            // in the caller's pid namespace
  uint64_t start_time = 0;  // field 22 of /proc/<pid>/stat (proc(5)), ticks
  bool operator==(const ProcessId&) const = default;
};

// Start time of a live or zombie process, from procfs.
absl::StatusOr<uint64_t> StartTime(pid_t pid);

// pidfd_open(2) that checks the start time after the open, so that a reused
// number is refused: kNotFound when that process is gone; any other error does
// not say so (look.h).
absl::StatusOr<UniqueFd> OpenProcess(const ProcessId& id);

// pidfd_open(2) of whatever has that number now.
absl::StatusOr<UniqueFd> OpenPidfd(pid_t pid);

// pidfd_send_signal(2); a process that is already gone is OK.
absl::Status SendSignal(int pidfd, int signal);

// True once the process behind `pidfd` has terminated; waits up to `timeout`.
absl::StatusOr<bool> WaitExit(int pidfd, absl::Duration timeout);

// A program started with posix_spawn(3) (never fork: the agent is threaded), or
// with SpawnPlaced() (placed_spawn.h) where a cgroup is named.
struct SpawnOptions {
  std::string path;               // absolute, or /proc/self/fd/N
  std::vector<std::string> args;  // args[0] included
  std::vector<std::string> env;
  // descriptors of the child: fds[i] becomes number i; -1 = /dev/null. All
  // others are CLOEXEC and so do not get there.
  std::vector<int> fds;
  // The cgroup that it is in from the start; borrowed. A directory of v2, -1 =
  // the caller's; "tasks" of v1 hierarchies, open for writing.
  int cgroup = -1;
  std::vector<int> cgroup_tasks;
};
struct Child {
  ProcessId id;
  UniqueFd pidfd;
};
// The child starts with default signal dispositions and an empty signal mask,
// in a session of its own. ENODEV: its cgroup is gone.
absl::StatusOr<Child> Spawn(const SpawnOptions& options);

// waitid(P_PIDFD) of a child that has exited; wait status as by waitpid(2).
// kNotFound when it is not our child.
absl::StatusOr<int> Reap(int pidfd);

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_PROCESS_H_
