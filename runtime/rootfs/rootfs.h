#ifndef WARREN_RUNTIME_ROOTFS_ROOTFS_H_
#define WARREN_RUNTIME_ROOTFS_ROOTFS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/deadline.h"
#include "runtime/base/unique_fd.h"
#include "runtime/runtime.h"

// A container's root file system: overlay of the image's layers (shared, never
// written) below a directory of its own:
//
//   <state>/containers/<id>/rootfs/upper   what the container changes
//   <state>/containers/<id>/rootfs/work    overlayfs' own
//   <state>/containers/<id>/rootfs/volumes/<n>   volumes of the image
//   <state>/containers/<id>/rootfs/empty   lowest layer of image volumes
//
// The overlay is mounted detached: it has no place in any mount namespace
// until a shim gives it one, and is gone with its last descriptor. It is
// volatile (no fsync of upper; overlayfs.rst, "Volatile mount"): such a tree is
// never used again after the machine went down. Thread-safe for different
// directories.
namespace warren::runtime {

struct RootfsOptions {
  std::vector<std::string> layer_dirs;  // lowest first, at least one
  std::string dir;                      // …/rootfs, its parent exists
  uint64_t attributes = 0;              // MOUNT_ATTR_*
  // The pod's user namespace, and its root in the host's numbers; -1 = the
  // host's user namespace.
  int user_ns_fd = -1;
  uint32_t root_uid = 0;
  uint32_t root_gid = 0;
  std::string label;  // SELinux, see overlay.h
  // As on a kernel before 6.7, for tests.
  bool old_kernel = false;
};

struct Rootfs {
  base::UniqueFd mount;
  // With a user namespace on a kernel that cannot idmap the layers (before
  // 5.19): every file still has the image's owner, and the shim has to change
  // them all.
  bool shift_owners = false;
};

// What was at `dir` before is removed: nothing ever ran in it.
// kInvalidArgument: no layer, or more than the runtime takes. On failure
// nothing is left.
absl::StatusOr<Rootfs> MakeRootfs(const RootfsOptions& options);

// The directory dir/name, made if missing, mode 0755. Goes with `dir`.
absl::StatusOr<base::UniqueFd> MakeRootfsDirectory(const std::string& dir,
                                                   const std::string& name);

// Removes `dir` with all that the container wrote, which takes as long as that
// is large, but no more memory (base/remove_tree.h). Missing is OK. After
// `deadline` the next call goes on with what is left.
absl::Status RemoveRootfs(
    const std::string& dir,
    const base::Deadline& deadline = base::Deadline::Never());

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_ROOTFS_ROOTFS_H_
