#ifndef WARREN_RUNTIME_BASE_PLACED_SPAWN_H_
#define WARREN_RUNTIME_BASE_PLACED_SPAWN_H_

#include <sys/types.h>

#include <cstddef>

// What posix_spawn(3) cannot do before glibc 2.39, and on cgroup v1 not at all:
// a program that is in another cgroup from its first page on, so that none of
// its memory is ever counted where its parent is. For Spawn() (process.h).
namespace warren::base {

// All borrowed. Whatever is not among `fds` must be CLOEXEC.
struct PlacedProgram {
  const char* path = nullptr;
  char* const* args = nullptr;
  char* const* env = nullptr;
  // fds[i] becomes number i; each is above all of those numbers.
  const int* fds = nullptr;
  size_t fd_count = 0;
  // clone3(2), CLONE_INTO_CGROUP: a directory of cgroup v2, -1 = none.
  int cgroup = -1;
  // Files that a child writes "0" to: "tasks" of v1 hierarchies.
  const int* tasks = nullptr;
  size_t task_count = 0;
};

// As vfork(2) and execve(2): the calling thread stands still until the program
// runs. It has default signal dispositions, an empty signal mask and a session
// of its own. A child that is killed on the way, or whose parent is, never runs
// elsewhere than in its place.
//
// 0 and the number of the child; else errno of what failed, and there is no
// child. ENODEV: a cgroup was removed meanwhile. Thread-safe.
int SpawnPlaced(const PlacedProgram& program, pid_t* pid);

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_PLACED_SPAWN_H_
