#ifndef WARREN_RUNTIME_SHIM_SPAWN_H_
#define WARREN_RUNTIME_SHIM_SPAWN_H_

#include <sys/types.h>

#include <cstdint>

#include "runtime/base/unique_fd.h"
#include "runtime/init/report.h"
#include "runtime/shim/failure.h"
#include "runtime/shim/plan_builder.h"

namespace warren::shim {

// A program that runs: child of the shim, unreaped.
struct Program {
  pid_t pid = 0;
  base::UniqueFd pidfd;
  uint64_t start_time = 0;    // field 22 of /proc/<pid>/stat
  int64_t started_at_ns = 0;  // CLOCK_REALTIME
  // Our ends of its stdio, by init::StdioFds. An exec session has none but the
  // master of its terminal.
  base::UniqueFd stdio[init::kStdioFdsMax];
};

// Clones, runs the init table there and waits for execve. A failed start
// leaves no process. ECANCELED when the peer of `launch_socket` closes it
// meanwhile. Single-threaded.
Failure StartProgram(PlanBuilder* builder, int launch_socket, Program* program);

// Fills what Started says: the process and when it was started.
void Describe(const Program& program, v1::Started* started);

// A procfs instance of the caller's pid namespace that is mounted nowhere, so
// that nobody can have put anything over it (FS-3). Invalid with errno.
base::UniqueFd PrivateProcfs();

// Field 22 of <proc>/<pid>/stat; 0 when it cannot be read, with errno: ENOENT
// or ESRCH when there is no such process. `session`, if asked for, gets field
// 6, `parent` field 4.
uint64_t ReadStat(int proc_fd, pid_t pid, pid_t* session = nullptr,
                  pid_t* parent = nullptr);

// The same of a child that is not reaped yet, so that 0 is an error.
Failure ReadStartTime(int proc_fd, pid_t pid, uint64_t* start_time);

// CLOCK_REALTIME in nanoseconds.
int64_t RealNow();

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_SPAWN_H_
