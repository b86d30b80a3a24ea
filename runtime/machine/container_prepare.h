#ifndef WARREN_RUNTIME_MACHINE_CONTAINER_PREPARE_H_
#define WARREN_RUNTIME_MACHINE_CONTAINER_PREPARE_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <vector>

#include "runtime/machine/parts.h"
#include "runtime/runtime.h"

namespace warren::runtime {

enum class Preparation : uint8_t {
  kFirst,  // the container is being created: volumes get their labels
  kAgain   // after a restart or a failed start: the host stays as it is
};

// What a container is made of before it runs: its rootfs is made, and every
// host path that it mounts is opened. `devices` are those of ContainerFacts.
// On failure the rootfs directory may be left behind for RemoveRootfs().
//
// Blocks on the disk, for as long as layers and volumes need to be copied, and
// at most ShimLauncher::kLaunchTimeout for each user namespace that has to be
// made for a mount.
absl::StatusOr<PreparedContainer> PrepareContainer(
    Parts* parts, const ContainerSpec& spec,
    const std::vector<DeviceNode>& devices, Preparation preparation);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MACHINE_CONTAINER_PREPARE_H_
