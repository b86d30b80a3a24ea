#ifndef WARREN_RUNTIME_MACHINE_LINUX_RUNTIME_H_
#define WARREN_RUNTIME_MACHINE_LINUX_RUNTIME_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/runtime.h"

namespace warren::runtime {

struct LinuxRuntimeOptions {
  // Both are made (0700) when missing. run_dir must be gone after a reboot.
  std::string run_dir = "/run/warren";
  std::string state_dir = "/var/lib/warren";
  std::string shim_path;  // read once into a sealed memfd
  // Where containers go whose pod names no cgroup parent; made on demand.
  std::string default_cgroup_parent = "/warren";
  // pids.max of containers that ask for none; 0 = no limit.
  int64_t default_pids_limit = 0;
  std::string cgroup_root = "/sys/fs/cgroup";
};

// The Runtime on Linux' namespaces, cgroups and mounts. One instance for each
// run_dir at a time; the caller holds the lock that sees to it. Needs root.
//
// Changes process-wide state: the process becomes a child subreaper
// (PR_SET_CHILD_SUBREAPER), so that a pod's pod init, whose shim has left,
// can be reaped here. So is whatever else it is given (base/adopted.h): the
// process must make its own children by base::Spawn().
//
// Destroying it leaves all pods and containers running.
absl::StatusOr<std::unique_ptr<Runtime>> MakeLinuxRuntime(
    const LinuxRuntimeOptions& options);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MACHINE_LINUX_RUNTIME_H_
