#ifndef WARREN_RUNTIME_MOUNTS_IMAGE_VOLUME_H_
#define WARREN_RUNTIME_MOUNTS_IMAGE_VOLUME_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/mounts/host_path.h"
#include "runtime/namespaces/mount_namespaces.h"
#include "runtime/rootfs/tree_copy.h"

// The two ways in which an image becomes a volume: another image mounted
// read-only, and a path of the container's own image made writable.
// Descriptors and pointers of the options are borrowed. Thread-safe for
// different containers.
namespace warren::runtime {

struct ImageVolumeOptions {
  std::vector<std::string> layer_dirs;  // lowest first
  std::string sub_path;                 // relative; "" = the whole tree
  uint64_t attributes = 0;              // MOUNT_ATTR_*
  int user_ns_fd = -1;                  // maps its owners; -1 = as is
  std::string label;                    // SELinux, see overlay.h
  std::string rootfs_dir;               // of the container, see rootfs.h
  MountNamespaces* mount_namespaces = nullptr;
};

// A detached mount of the layers, or of one directory or regular file in them.
// `sub_path` is resolved inside the image only, links included.
// kInvalidArgument: it is not there or is something else; kFailedPrecondition:
// the kernel cannot idmap layers (before 5.19).
absl::StatusOr<HostTree> OpenImageVolume(const ImageVolumeOptions& options);

struct OwnVolumeOptions {
  std::string path;         // absolute, in the container
  int rootfs_fd = -1;       // detached root file system to fill it from
  std::string rootfs_dir;   // see rootfs.h
  std::string name;         // of the directory to make below it
  uint64_t attributes = 0;  // MOUNT_ATTR_*
  uint32_t root_uid = 0;    // owner when the image has nothing there
  uint32_t root_gid = 0;
  std::string label;  // SELinux label of all of it, "" = none
};

// Makes <rootfs_dir>/volumes/<name> with what the rootfs has at `path`
// (resolved inside of it) and returns a detached mount of it. A missing path
// gives an empty directory. kInvalidArgument when the path is there and no
// directory. All volumes of a container share the limits in `copy`; past them
// kResourceExhausted. It goes with rootfs_dir, also after a failure.
absl::StatusOr<base::UniqueFd> MakeOwnVolume(const OwnVolumeOptions& options,
                                             TreeCopyOptions* copy);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MOUNTS_IMAGE_VOLUME_H_
