#ifndef WARREN_RUNTIME_ROOTFS_OVERLAY_H_
#define WARREN_RUNTIME_ROOTFS_OVERLAY_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"

// Layers of an image as one tree: a detached overlay mount, made in the best
// way that the kernel knows (Linux 6.13: layers by descriptor, idmapped; 6.7:
// one parameter for each; before: mount(2), idmapped from 5.19; the table is in
// README.md). Thread-safe.
namespace warren::runtime {

// Where changes go, on one file system. Both invalid: read-only.
struct UpperDirs {
  base::UniqueFd upper;
  base::UniqueFd work;
};

struct OverlayOptions {
  // Lowest first, at least one; at least two when read-only.
  std::vector<std::string> layer_dirs;
  // A directory of ours, over which a kernel before 6.7 mounts for a moment (in
  // a private mount namespace). The upper directories are `upper` and `work` in
  // it.
  std::string dir;
  // Called before each attempt, to make fresh ones: overlayfs leaves
  // directories in `work` and refuses a volatile one that was used before.
  // Null: read-only.
  std::function<absl::StatusOr<UpperDirs>()> make_upper;
  uint64_t attributes = 0;  // MOUNT_ATTR_*
  // Shows the layers' owners as this user namespace maps them; -1 = as is.
  int user_ns_fd = -1;
  // SELinux label that all files show, whatever the layers' are; "" = theirs.
  std::string label;
  // As on a kernel before 6.7, for tests.
  bool old_kernel = false;
};

struct Overlay {
  base::UniqueFd mount;
  // False with a user_ns_fd: this kernel cannot, owners are the image's.
  bool idmapped = false;
};

// Tries one way after the other while the kernel says that it does not know
// the last one. kFailedPrecondition: too many layers for mount(2), whose option
// string ends at 4095 bytes. Other errors are errno's; nothing is left then. On
// an older kernel a short-lived thread does the mounting.
absl::StatusOr<Overlay> MakeOverlay(const OverlayOptions& options);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_ROOTFS_OVERLAY_H_
