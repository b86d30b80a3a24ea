#ifndef WARREN_TESTS_BENCH_FLOOR_CONTAINER_H_
#define WARREN_TESTS_BENCH_FLOOR_CONTAINER_H_

#include <sys/types.h>

#include <string>

// The bare process side of a pod of one container: clone3 with namespaces,
// overlay, proc, sys, dev, pivot_root, cgroups, execve. Every failure ends the
// program. Single-threaded.
namespace warren::bench {

// Network, IPC and UTS namespaces, held by descriptors; no process is left.
struct FloorSandbox {
  int net = -1;
  int ipc = -1;
  int uts = -1;
};
FloorSandbox MakeSandbox();
void CloseSandbox(const FloorSandbox& sandbox);

// Directories shared by all containers of a run: `base`/lower holds
// /bin/busybox, `base`/<serial> the upper and work directories of one
// container.
void MakeLower(const std::string& base);

// Cgroups "<hierarchy><parent>/<serial>" of pids, memory and cpu where they
// are mounted (v1), or one in the v2 tree.
void MakeCgroupParent(const std::string& parent);
void RemoveCgroupParent(const std::string& parent);

struct FloorContainer {
  pid_t pid = 0;
  int serial = 0;
};
// Returns when the program has been exec'd.
FloorContainer StartContainer(const FloorSandbox& sandbox,
                              const std::string& base,
                              const std::string& cgroup_parent, int serial);
// busybox true in all namespaces of the container; returns when it has ended
// and its output is at end of file.
void ExecTrue(const FloorContainer& container);
// SIGKILL, reap, remove cgroups and directories.
void StopContainer(const FloorContainer& container, const std::string& base,
                   const std::string& cgroup_parent);

}  // namespace warren::bench

#endif  // WARREN_TESTS_BENCH_FLOOR_CONTAINER_H_
