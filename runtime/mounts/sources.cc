#include "runtime/mounts/sources.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/mount_calls.h"
#include "runtime/base/status.h"
#include "runtime/devices/directory.h"
#include "runtime/identity/id_map.h"
#include "runtime/mounts/image_volume.h"
#include "runtime/mounts/label.h"

namespace warren::runtime {
namespace {

// Read-only tmpfs with a mount point for each hierarchy. A hierarchy of
// several controllers ("cpu,cpuacct") is also found under each one's name.
absl::StatusOr<base::UniqueFd> MakeCgroupDirectory(
    const std::vector<CgroupMount>& cgroups, const std::string& label) {
  std::vector<base::FsParameter> parameters = {{"mode", "0755"},
                                               {"size", "64k"}};
  if (!label.empty()) parameters.push_back({"context", label});
  ASSIGN_OR_RETURN(base::UniqueFd directory,
                   base::NewFileSystem("tmpfs", parameters,
                                       MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                           MOUNT_ATTR_NOEXEC));
  for (const CgroupMount& c : cgroups) {
    if (mkdirat(directory.get(), c.name.c_str(), 0755) != 0) {
      return base::ErrnoError(errno, absl::StrCat("mkdir ", c.name));
    }
    if (c.options.size() < 2) continue;
    for (const std::string& controller : c.options) {
      if (symlinkat(c.name.c_str(), directory.get(), controller.c_str()) != 0) {
        return base::ErrnoError(errno, absl::StrCat("symlink ", controller));
      }
    }
  }
  RETURN_IF_ERROR(
      base::ChangeMount(directory.get(), {.set = MOUNT_ATTR_RDONLY}));
  return directory;
}

absl::StatusOr<base::UniqueFd> OpenPodFile(const MountPlaces& places,
                                           const PlannedMount& mount) {
  ASSIGN_OR_RETURN(base::UniqueFd tree, places.mount_namespaces->CloneFile(
                                            places.sandbox_id, mount.path));
  RETURN_IF_ERROR(base::ChangeMount(
      tree.get(), {.set = mount.attributes, .propagation = MS_PRIVATE}));
  if (!mount.label.empty()) {
    RETURN_IF_ERROR(LabelFile(tree.get(), mount.label));
  }
  return tree;
}

absl::StatusOr<base::UniqueFd> OpenShm(const MountPlaces& places,
                                       const PlannedMount& mount) {
  ASSIGN_OR_RETURN(base::UniqueFd tree,
                   places.mount_namespaces->CloneShm(places.sandbox_id));
  if (!mount.label.empty()) {
    RETURN_IF_ERROR(LabelFile(tree.get(), mount.label));
  }
  return tree;
}

absl::Status CheckPlainFile(const HostSource& source) {
  struct stat st;
  if (fstat(source.place.get(), &st) != 0) {
    return base::ErrnoError(errno, source.path);
  }
  if (S_ISREG(st.st_mode)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "mounts: host_path \"", source.path,
      "\" is no plain file, and nothing else may cover a file of /proc"));
}

// Invalid, and the shim's to make, where the pod is older than what is kept.
absl::StatusOr<base::UniqueFd> OpenProcfs(const MountPlaces& places) {
  auto tree = places.mount_namespaces->CloneProcfs(places.sandbox_id);
  if (absl::IsNotFound(tree.status())) return base::UniqueFd();
  return tree;
}

// A node of the container's own: what is changed of it is changed of nothing
// else (FS-11). The tmpfs is gone when the mount of the node is.
absl::StatusOr<base::UniqueFd> OpenDevice(const MountPlaces& places,
                                          const PlannedMount& mount) {
  DeviceNode node = mount.devices.front();
  node.container_path = "/node";
  ASSIGN_OR_RETURN(
      const base::UniqueFd directory,
      MakeDeviceDirectory("", {node}, places.root_uid, places.root_gid,
                          MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, mount.label));
  ASSIGN_OR_RETURN(base::UniqueFd tree,
                   places.mount_namespaces->CloneBelow(directory.get(),
                                                       node.container_path));
  RETURN_IF_ERROR(base::ChangeMount(tree.get(), {.propagation = MS_PRIVATE}));
  return tree;
}

class SourceOpener {
 public:
  explicit SourceOpener(const MountPlaces& places) : places_(places) {
    if (places.sandbox != nullptr) {
      copy_.uid_mappings = places.sandbox->uid_mappings;
      copy_.gid_mappings = places.sandbox->gid_mappings;
    }
  }

  absl::StatusOr<OpenedMount> Open(const PlannedMount& mount) {
    OpenedMount o;
    o.op = mount.op;
    switch (mount.source) {
      case MountSource::kNone:
        break;
      case MountSource::kHostPath:
        RETURN_IF_ERROR(OpenPath(mount, &o));
        break;
      case MountSource::kImage:
        RETURN_IF_ERROR(OpenImage(mount, &o));
        break;
      case MountSource::kVolume: {
        ASSIGN_OR_RETURN(o.source, OpenVolume(mount));
        break;
      }
      case MountSource::kDeviceDirectory: {
        ASSIGN_OR_RETURN(o.source,
                         MakeDeviceDirectory(o.op.target(), mount.devices,
                                             places_.root_uid, places_.root_gid,
                                             mount.attributes, mount.label));
        break;
      }
      case MountSource::kDevice: {
        ASSIGN_OR_RETURN(o.source, OpenDevice(places_, mount));
        break;
      }
      case MountSource::kPodFile: {
        ASSIGN_OR_RETURN(o.source, OpenPodFile(places_, mount));
        break;
      }
      case MountSource::kShm: {
        ASSIGN_OR_RETURN(o.source, OpenShm(places_, mount));
        break;
      }
      case MountSource::kProcfs: {
        ASSIGN_OR_RETURN(o.source, OpenProcfs(places_));
        break;
      }
      case MountSource::kCgroupDirectory: {
        ASSIGN_OR_RETURN(o.source,
                         MakeCgroupDirectory(*places_.cgroups, mount.label));
        break;
      }
    }
    return o;
  }

 private:
  absl::StatusOr<int> UserNamespace(const PlannedMount& mount) const {
    if (mount.uid_mappings.empty()) return -1;
    return places_.user_namespace(mount.uid_mappings, mount.gid_mappings);
  }

  static void Take(HostTree tree, OpenedMount* o) {
    o->op.set_target_is_file(tree.is_file);
    o->source = std::move(tree.mount);
    o->peer = std::move(tree.peer);
  }

  absl::Status OpenPath(const PlannedMount& mount, OpenedMount* o) const {
    HostPathOptions options;
    options.attributes = mount.attributes;
    options.recursive_attributes = mount.recursive_attributes;
    options.make_missing = mount.make_missing && places_.creating;
    options.recursive = mount.recursive;
    options.propagation = mount.propagation;
    options.mapped_by_default = mount.mapped_by_default;
    if (places_.mount_namespaces != nullptr) {
      options.pinned_at = places_.mount_namespaces->pin_path();
    }
    ASSIGN_OR_RETURN(options.user_ns_fd, UserNamespace(mount));
    ASSIGN_OR_RETURN_IN(HostSource source, OpenHostSource(mount.path, options),
                        absl::StrCat("host_path ", mount.path));
    if (places_.creating && !mount.label.empty()) {
      RETURN_IF_ERROR(
          CheckMayLabel(source.place.get(), places_.own_directories));
      RETURN_IF_ERROR_IN(LabelTree(source.place.get(), mount.label),
                         mount.path);
    }
    if (mount.plain_file) RETURN_IF_ERROR(CheckPlainFile(source));
    ASSIGN_OR_RETURN(HostTree tree, CloneHostSource(source));
    Take(std::move(tree), o);
    if (mount.propagation != MountPropagation::kPrivate) {
      o->late = std::move(source);
    }
    return absl::OkStatus();
  }

  absl::Status OpenImage(const PlannedMount& mount, OpenedMount* o) const {
    ImageVolumeOptions options;
    options.layer_dirs = mount.image_layers;
    options.sub_path = mount.path;
    options.attributes = mount.attributes;
    options.label = mount.label;
    options.rootfs_dir = places_.rootfs_dir;
    options.mount_namespaces = places_.mount_namespaces;
    ASSIGN_OR_RETURN(options.user_ns_fd, UserNamespace(mount));
    ASSIGN_OR_RETURN(HostTree tree, OpenImageVolume(options));
    Take(std::move(tree), o);
    return absl::OkStatus();
  }

  // What volumes are filled from: the image with its own owners. Through an
  // idmapped mount nobody reads a closed file whose owner is not mapped
  // (capable_wrt_inode_uidgid of kernel/capability.c).
  absl::StatusOr<int> VolumeContent() {
    if (places_.shift_owners || copy_.uid_mappings.empty()) {
      return places_.rootfs_fd;
    }
    if (!image_.valid()) {
      ImageVolumeOptions options;
      options.layer_dirs = *places_.layer_dirs;
      options.attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                           MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
      options.rootfs_dir = places_.rootfs_dir;
      options.mount_namespaces = places_.mount_namespaces;
      ASSIGN_OR_RETURN(HostTree tree, OpenImageVolume(options));
      image_ = std::move(tree.mount);
    }
    return image_.get();
  }

  absl::StatusOr<base::UniqueFd> OpenVolume(const PlannedMount& mount) {
    OwnVolumeOptions options;
    options.path = mount.path;
    ASSIGN_OR_RETURN(options.rootfs_fd, VolumeContent());
    options.rootfs_dir = places_.rootfs_dir;
    options.name = absl::StrCat(volumes_++);
    options.attributes = mount.attributes;
    options.label = mount.label;
    const SandboxSpec& pod = *places_.sandbox;
    options.root_uid = ToHostId(pod.uid_mappings, 0).value_or(0);
    options.root_gid = ToHostId(pod.gid_mappings, 0).value_or(0);
    return MakeOwnVolume(options, &copy_);
  }

  const MountPlaces& places_;
  TreeCopyOptions copy_;
  base::UniqueFd image_;  // see VolumeContent
  int volumes_ = 0;
};

std::string Where(const PlannedMount& mount) {
  switch (mount.source) {
    case MountSource::kImage:
      return absl::StrCat("ImageVolumeMountFailed: mount ", mount.op.target());
    case MountSource::kVolume:
      return absl::StrCat("volume ", mount.op.target(), " of the image");
    default:
      return absl::StrCat("mount ", mount.op.target());
  }
}

}  // namespace

absl::StatusOr<std::vector<OpenedMount>> OpenMountSources(
    const std::vector<PlannedMount>& plan, const MountPlaces& places) {
  std::vector<OpenedMount> opened;
  opened.reserve(plan.size());
  SourceOpener opener(places);
  for (const PlannedMount& mount : plan) {
    auto o = opener.Open(mount);
    if (!o.ok()) {
      const bool prefixed =
          absl::StartsWith(o.status().message(), "RROUnsupported");
      return prefixed ? o.status() : base::Annotate(o.status(), Where(mount));
    }
    opened.push_back(*std::move(o));
  }
  return opened;
}

absl::Status RefreshMountSources(std::vector<OpenedMount>* mounts) {
  for (OpenedMount& mount : *mounts) {
    if (!mount.late.has_value()) continue;
    ASSIGN_OR_RETURN_IN(HostTree tree, CloneHostSource(*mount.late),
                        absl::StrCat("mount ", mount.op.target()));
    mount.source = std::move(tree.mount);
    mount.peer = std::move(tree.peer);
    mount.late.reset();
  }
  return absl::OkStatus();
}

}  // namespace warren::runtime
