#include "runtime/mount_sources.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/device_folder.h"
#include "runtime/host_path.h"
#include "runtime/mount_calls.h"

namespace warren::runtime {
namespace {

// Read-only tmpfs with a mount point for each hierarchy. A hierarchy of
// several controllers ("cpu,cpuacct") is also found under each one's name.
absl::StatusOr<base::UniqueFd> MakeCgroupFolder(
    const std::vector<CgroupMount>& cgroups) {
  ASSIGN_OR_RETURN(
      base::UniqueFd folder,
      NewFileSystem("tmpfs", {{"mode", "0755"}, {"size", "64k"}},
                    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  for (const CgroupMount& c : cgroups) {
    if (mkdirat(folder.get(), c.name.c_str(), 0755) != 0) {
      return base::ErrnoError(errno, absl::StrCat("mkdir ", c.name));
    }
    if (c.options.size() < 2) continue;
    for (const std::string& controller : c.options) {
      if (symlinkat(c.name.c_str(), folder.get(), controller.c_str()) != 0) {
        return base::ErrnoError(errno, absl::StrCat("symlink ", controller));
      }
    }
  }
  RETURN_IF_ERROR(ChangeMount(folder.get(), {.set = MOUNT_ATTR_RDONLY}));
  return folder;
}

absl::StatusOr<base::UniqueFd> OpenPodFile(int pod_dir_fd,
                                           const PlannedMount& mount) {
  ASSIGN_OR_RETURN(const base::UniqueFd file,
                   base::OpenAt(pod_dir_fd, mount.path, O_PATH | O_NOFOLLOW));
  ASSIGN_OR_RETURN(base::UniqueFd tree, CloneTree(file.get(), "", false));
  RETURN_IF_ERROR(ChangeMount(
      tree.get(), {.set = mount.attributes, .propagation = MS_PRIVATE}));
  return tree;
}

absl::StatusOr<base::UniqueFd> OpenSource(const PlannedMount& mount,
                                          const MountPlaces& places,
                                          shim::v1::MountOp* op) {
  switch (mount.source) {
    case MountSource::kNone:
      return base::UniqueFd();
    case MountSource::kHostPath: {
      ASSIGN_OR_RETURN(
          HostTree tree,
          OpenHostPath(mount.path,
                       {.attributes = mount.attributes,
                        .recursive_attributes = mount.recursive_attributes,
                        .make_missing = mount.make_missing,
                        .recursive = mount.recursive,
                        .propagation = mount.propagation}));
      op->set_target_is_file(tree.is_file);
      return std::move(tree.mount);
    }
    case MountSource::kDeviceFolder:
      return MakeDeviceFolder(op->target(), mount.devices, places.root_uid,
                              places.root_gid, mount.attributes);
    case MountSource::kHostDevice:
      return BindHostDevice(mount.devices.front());
    case MountSource::kPodFile:
      return OpenPodFile(places.pod_dir_fd, mount);
    case MountSource::kShm:
      return places.mount_namespaces->CloneShm(places.sandbox_id);
    case MountSource::kCgroupFolder:
      return MakeCgroupFolder(*places.cgroups);
  }
  return absl::InternalError("unknown mount source");
}

}  // namespace

absl::StatusOr<std::vector<OpenedMount>> OpenMountSources(
    const std::vector<PlannedMount>& plan, const MountPlaces& places) {
  std::vector<OpenedMount> opened;
  opened.reserve(plan.size());
  for (const PlannedMount& mount : plan) {
    OpenedMount o;
    o.op = mount.op;
    ASSIGN_OR_RETURN_IN(o.source, OpenSource(mount, places, &o.op),
                        absl::StrCat("mount ", mount.op.target()));
    opened.push_back(std::move(o));
  }
  return opened;
}

}  // namespace warren::runtime
