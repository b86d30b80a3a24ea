#ifndef WARREN_RUNTIME_SHIM_EXEC_SESSION_H_
#define WARREN_RUNTIME_SHIM_EXEC_SESSION_H_

#include <sys/types.h>

#include <memory>

#include "runtime/base/unique_fd.h"
#include "runtime/shim/wire.h"

namespace warren::shim {

// Exec mode: runs one program in the namespaces of a container, tells how it
// ended, and kills it and all it forked when it is told to or when the agent
// hangs up. Returns the exit status of the shim.
int RunExec(std::unique_ptr<LaunchInput> input, base::UniqueFd launch_socket);

// Sends `signal` to every process listed in `cgroup_procs_fd` that belongs to
// `session` or descends from one that does. Returns how many were found alive;
// what cannot be looked at, for want of descriptors or memory, counts as alive.
// `proc_fd`: a procfs of the caller's pid namespace.
int SignalSession(int proc_fd, int cgroup_procs_fd, pid_t session, int signal);

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_EXEC_SESSION_H_
