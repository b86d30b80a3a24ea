#ifndef WARREN_RUNTIME_MOUNTS_SOURCES_H_
#define WARREN_RUNTIME_MOUNTS_SOURCES_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "runtime/cgroup/driver.h"
#include "runtime/mounts/host_path.h"
#include "runtime/mounts/plan.h"
#include "runtime/namespaces/mount_namespaces.h"
#include "warren/shim/v1/shim.pb.h"

namespace warren::runtime {

// A planned mount with its detached source. op.fd is set later, when the launch
// request is built.
struct OpenedMount {
  shim::v1::MountOp op;
  base::UniqueFd source;  // invalid: the init makes it
  base::UniqueFd peer;    // see HostTree
  // With a propagation other than private; see RefreshMountSources.
  std::optional<HostSource> late;
};

// Returns the user namespace with these mappings. The descriptor is borrowed
// and stays open as long as the container is being prepared.
using UserNamespaceOpener = std::function<absl::StatusOr<int>(
    const std::vector<IdMapping>& uids, const std::vector<IdMapping>& gids)>;

// Where sources are to be found; borrowed.
struct MountPlaces {
  MountNamespaces* mount_namespaces = nullptr;
  std::string sandbox_id;
  const std::vector<CgroupMount>* cgroups = nullptr;
  UserNamespaceOpener user_namespace;
  std::string rootfs_dir;     // see rootfs.h
  int rootfs_fd = -1;         // the mounted overlay
  bool shift_owners = false;  // it shows the image's owners
  const std::vector<std::string>* layer_dirs = nullptr;  // of the image
  // Owner of what the image does not have, and how to shift owners.
  const SandboxSpec* sandbox = nullptr;
  // True when the container is created, false when its sources are opened again
  // after a restart of the agent. Only at first are the files at a path of the
  // host given the label that its mount has (another container may have
  // labelled a volume for itself by then), and only at first is a directory
  // made for a missing path (there was something, and it may have been a file).
  bool creating = false;
  std::vector<std::string> own_directories;  // see CheckMayLabel
  // The pod's root, in the host's numbers.
  uint32_t root_uid = 0;
  uint32_t root_gid = 0;
};

// Opens all sources of a plan, in order. Errors name the mount; those of an
// image begin with "ImageVolumeMountFailed". On failure nothing stays open;
// directories of the host that were made for missing paths stay.
absl::StatusOr<std::vector<OpenedMount>> OpenMountSources(
    const std::vector<PlannedMount>& plan, const MountPlaces& places);

// Copies those with a propagation again; called when the container starts. A
// detached copy takes part in no propagation, so what the host mounted below a
// source since CreateContainer is in a new copy only.
absl::Status RefreshMountSources(std::vector<OpenedMount>* mounts);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MOUNTS_SOURCES_H_
