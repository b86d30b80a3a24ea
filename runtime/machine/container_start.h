#ifndef WARREN_RUNTIME_MACHINE_CONTAINER_START_H_
#define WARREN_RUNTIME_MACHINE_CONTAINER_START_H_

#include <absl/status/statusor.h>

#include "runtime/base/deadline.h"
#include "runtime/machine/container_exits.h"
#include "runtime/machine/parts.h"
#include "runtime/runtime.h"

namespace warren::runtime {

// Runtime::StartContainer: launches a shim for a container that was prepared,
// waits for the execve of its program, and puts it under watch. A container
// starts once: kFailedPrecondition afterwards.
//
// Blocks on the shim, until `deadline` and at most
// ShimLauncher::kLaunchTimeout; what was launched is undone then.
absl::StatusOr<StartFacts> StartLiveContainer(Parts* parts,
                                              ContainerExits* exits,
                                              const LiveContainerPtr& container,
                                              const base::Deadline& deadline);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MACHINE_CONTAINER_START_H_
