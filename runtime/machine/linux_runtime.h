#ifndef WARREN_RUNTIME_MACHINE_LINUX_RUNTIME_H_
#define WARREN_RUNTIME_MACHINE_LINUX_RUNTIME_H_

#include <absl/status/statusor.h>

#include <memory>

#include "runtime/machine/options.h"
#include "runtime/runtime.h"

namespace warren::runtime {

// The Runtime on Linux' namespaces, cgroups and mounts. One instance for each
// run_dir at a time; the caller holds the lock that sees to it. Needs root.
//
// Changes process-wide state: the process becomes a child subreaper
// (PR_SET_CHILD_SUBREAPER), so that the pod init of a pod, whose shim has left,
// can be reaped here. So is whatever else it is given (base/adopted.h): the
// process must make its own children by base::Spawn().
//
// Destroying it leaves all pods and containers running.
absl::StatusOr<std::unique_ptr<Runtime>> MakeLinuxRuntime(
    const LinuxRuntimeOptions& options);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MACHINE_LINUX_RUNTIME_H_
