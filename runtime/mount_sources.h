#ifndef WARREN_RUNTIME_MOUNT_SOURCES_H_
#define WARREN_RUNTIME_MOUNT_SOURCES_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "runtime/cgroup.h"
#include "runtime/mount_namespaces.h"
#include "runtime/mounts.h"
#include "warren/shim/v1/shim.pb.h"

namespace warren::runtime {

// A planned mount with its detached source in hand; op.fd is set when the
// launch request is built.
struct OpenedMount {
  shim::v1::MountOp op;
  base::UniqueFd source;  // invalid: the init makes it
};

// Where sources are to be found; borrowed.
struct MountPlaces {
  MountNamespaces* mount_namespaces = nullptr;
  std::string sandbox_id;
  int pod_dir_fd = -1;  // <run>/sandboxes/<id>
  const std::vector<CgroupMount>* cgroups = nullptr;
  // The pod's root, in the host's numbers.
  uint32_t root_uid = 0;
  uint32_t root_gid = 0;
};

// Opens all sources of a plan, in order. Errors name the mount.
absl::StatusOr<std::vector<OpenedMount>> OpenMountSources(
    const std::vector<PlannedMount>& plan, const MountPlaces& places);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MOUNT_SOURCES_H_
