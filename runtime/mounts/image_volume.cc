#include "runtime/mounts/image_volume.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/mount_calls.h"
#include "runtime/base/status.h"
#include "runtime/mounts/label.h"
#include "runtime/rootfs/overlay.h"
#include "runtime/rootfs/rootfs.h"

namespace warren::runtime {
namespace {

absl::Status SubPathError(const std::string& path, const absl::Status& status) {
  const int error = base::GetErrno(status);
  if (error != ENOENT && error != ENOTDIR && error != ELOOP) return status;
  return absl::InvalidArgumentError(
      absl::StrCat("image_sub_path: \"", path, "\" is not in the image"));
}

absl::StatusOr<HostTree> CloneSubPath(const ImageVolumeOptions& o, int whole) {
  auto sub = o.mount_namespaces->CloneBelow(whole, o.sub_path);
  if (!sub.ok()) return SubPathError(o.sub_path, sub.status());
  struct stat st;
  if (fstat(sub->get(), &st) != 0) return base::ErrnoError(errno, "stat");
  if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat("image_sub_path: \"", o.sub_path,
                     "\" is neither a directory nor a regular file"));
  }
  return HostTree{*std::move(sub), {}, !S_ISDIR(st.st_mode)};
}

}  // namespace

absl::StatusOr<HostTree> OpenImageVolume(const ImageVolumeOptions& o) {
  RETURN_IF_ERROR(MakeRootfsDirectory(o.rootfs_dir, "empty").status());
  OverlayOptions overlay;
  // An overlay without an upper directory wants two layers at least.
  overlay.layer_dirs = {o.rootfs_dir + "/empty"};
  overlay.layer_dirs.insert(overlay.layer_dirs.end(), o.layer_dirs.begin(),
                            o.layer_dirs.end());
  overlay.dir = o.rootfs_dir;
  overlay.attributes = o.attributes;
  overlay.user_ns_fd = o.user_ns_fd;
  overlay.label = o.label;
  ASSIGN_OR_RETURN(Overlay whole, MakeOverlay(overlay));
  if (o.user_ns_fd >= 0 && !whole.idmapped) {
    return absl::FailedPreconditionError(
        "this kernel cannot map the owners of an image's files; Linux 6.13 "
        "can");
  }
  if (o.sub_path.empty()) return HostTree{std::move(whole.mount), {}, false};
  return CloneSubPath(o, whole.mount.get());
}

absl::StatusOr<base::UniqueFd> MakeOwnVolume(const OwnVolumeOptions& o,
                                             TreeCopyOptions* copy) {
  RETURN_IF_ERROR(MakeRootfsDirectory(o.rootfs_dir, "volumes").status());
  ASSIGN_OR_RETURN(const base::UniqueFd directory,
                   MakeRootfsDirectory(o.rootfs_dir + "/volumes", o.name));
  auto content = base::OpenInRoot(o.rootfs_fd, o.path, O_RDONLY | O_DIRECTORY);
  const int error = base::GetErrno(content.status());
  if (content.ok()) {
    RETURN_IF_ERROR(CopyTree(content->get(), directory.get(), copy));
  } else if (error == ENOTDIR || error == ELOOP) {
    return absl::InvalidArgumentError("the image has something else there");
  } else if (error != ENOENT) {
    return content.status();
  } else if (fchown(directory.get(), o.root_uid, o.root_gid) != 0) {
    return base::ErrnoError(errno, "chown");
  }
  if (!o.label.empty()) RETURN_IF_ERROR(LabelTree(directory.get(), o.label));
  ASSIGN_OR_RETURN(base::UniqueFd tree,
                   base::CloneTree(directory.get(), "", false));
  RETURN_IF_ERROR(base::ChangeMount(
      tree.get(), {.set = o.attributes, .propagation = MS_PRIVATE}));
  return tree;
}

}  // namespace warren::runtime
