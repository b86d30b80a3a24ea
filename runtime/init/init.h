#ifndef WARREN_RUNTIME_INIT_INIT_H_
#define WARREN_RUNTIME_INIT_INIT_H_

#include "runtime/init/plan.h"

// The code between clone and exec: a fixed table of steps, system calls on
// plain arrays only, no allocation, no exceptions, errors as errno (CPP-3).
namespace warren::init {

// One row of the table; run() returns 0 or errno and leaves what it was about
// in Context::detail.
struct Context;
struct Step {
  const char* name;  // stable; travels in reports and error messages
  bool container;    // runs for a container's first process
  bool exec;         // runs for an exec session
  int (*run)(Context* context);
};

// The table, for the README and tests.
const Step* Steps(size_t* count);

// Runs the table; becomes the program. On failure sends a kFailed report and
// ends the process with status 127. Single-threaded; changes process-wide
// state; called in a fresh clone of the shim only.
[[noreturn]] void RunInit(const Plan& plan);

// clone3(2) like fork(2), with namespace flags, optionally straight into the
// v2 cgroup behind `cgroup_fd` (-1 = none) and as a child of the caller's
// parent (CLONE_PARENT in `flags`). Returns as fork does, -1 with errno. The
// kernel writes the number to `child`, unless it is null, before the child
// runs.
pid_t CloneProcess(uint64_t flags, int cgroup_fd, pid_t* child = nullptr);

}  // namespace warren::init

#endif  // WARREN_RUNTIME_INIT_INIT_H_
