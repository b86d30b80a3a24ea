#ifndef WARREN_RUNTIME_BASE_ADOPTED_H_
#define WARREN_RUNTIME_BASE_ADOPTED_H_

#include <absl/functional/function_ref.h>
#include <sys/types.h>

// Children that a subreaper is given (PR_SET_CHILD_SUBREAPER of prctl(2)): what
// descends from its own children and has lost its parent, say what an exec
// session left in the background of the node's pid namespace. Nobody waits for
// those, and each would stay a zombie for as long as this process lives.
//
// Own children are told from them by what Spawn() and Reap() (process.h)
// report here. A child of fork(2) would count as adopted. Thread-safe.
namespace warren::base {

// Runs `spawn`, which returns the number of the child it made, 0 for none. The
// child is nobody's but its maker's until ForgetOwnChild().
void KeepOwnChild(absl::FunctionRef<pid_t()> spawn);

// Runs `reap`, which must not block and returns the number of the child whose
// end it took, 0 for none.
void ForgetOwnChild(absl::FunctionRef<pid_t()> reap);

// From now on the child counts as adopted: its maker does not wait for its end,
// which may be far away (state D). Nothing when it is no child.
void DisownChild(pid_t pid);

// Reaps all adopted children that have ended. Those that end later are for the
// next call. Does nothing on a kernel without CONFIG_PROC_CHILDREN (proc(5)).
void ReapAdopted();

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_ADOPTED_H_
