#ifndef WARREN_RUNTIME_DEVICES_DIRECTORY_H_
#define WARREN_RUNTIME_DEVICES_DIRECTORY_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "runtime/runtime.h"

namespace warren::runtime {

// A container's /dev, detached: a tmpfs of 64 MiB, mode 0755, owned by the
// given ids of the host, with all `nodes` in it; their container_path is below
// `path`. Directories on the way are made alike. `label`: SELinux label of all
// of it, "" = as the policy says.
//
// Made by the agent and not by the container's init because a user namespace
// can neither mknod(2) nor open a node on a file system that it owns; the
// tmpfs belongs to the host's. What it takes is one mount, however many nodes.
absl::StatusOr<base::UniqueFd> MakeDeviceDirectory(
    const std::string& path, const std::vector<DeviceNode>& nodes,
    uint32_t root_uid, uint32_t root_gid, uint64_t attributes,
    const std::string& label = "");

// A detached bind of the host's node at node.host_path, for where a node
// cannot be made. The path is only how to get there: kFailedPrecondition
// unless what is found has the node's number, mode and owner (FS-4).
absl::StatusOr<base::UniqueFd> BindHostDevice(const DeviceNode& node);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_DEVICES_DIRECTORY_H_
