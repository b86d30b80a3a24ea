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
// given ids of the host, with all `nodes` in it. `path` is where it will be
// mounted ("/dev"); each container_path lies below it. Directories on the way
// get the same owner and mode. `attributes`: MOUNT_ATTR_*. `label`: SELinux
// label of all of it, "" = as the policy says. Errors are errno's; on failure
// nothing is left. Thread-safe.
//
// The agent makes it and not the container's init, because a user namespace
// can neither mknod(2) nor open a node on a file system that it owns: this
// tmpfs belongs to the host's user namespace. It is one mount, however many
// nodes there are.
absl::StatusOr<base::UniqueFd> MakeDeviceDirectory(
    const std::string& path, const std::vector<DeviceNode>& nodes,
    uint32_t root_uid, uint32_t root_gid, uint64_t attributes,
    const std::string& label = "");

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_DEVICES_DIRECTORY_H_
