#ifndef WARREN_RUNTIME_MOUNTS_HOST_PATH_H_
#define WARREN_RUNTIME_MOUNTS_HOST_PATH_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <string>

#include "runtime/base/unique_fd.h"
#include "runtime/runtime.h"

// Paths of the host that a container mounts, opened once and before anything
// of the pod can run (FS-6). The caller's path is followed through symlinks:
// it comes from the orchestrator, which may name any place of the host. A path
// on a file system that hangs (NFS) hangs the call. Thread-safe.
namespace warren::runtime {

struct HostPathOptions {
  uint64_t attributes = 0;            // MOUNT_ATTR_* of the top mount
  bool recursive_attributes = false;  // … and of all mounts below it
  bool make_missing = false;          // as a directory, mode 0755
  bool recursive = true;              // with all mounts below (rbind)
  MountPropagation propagation = MountPropagation::kPrivate;
  // Owners as this user namespace maps them, of the top mount; -1 = as is.
  int user_ns_fd = -1;
  // True: a file system that cannot be idmapped is mounted as it is. False: it
  // is an error.
  bool mapped_by_default = false;
  // Clean path of the host where a mount namespace is pinned, "" = none. A copy
  // of a tree above it leaves it out, whatever flags its mount has by then: the
  // kernel attaches a pinned mount namespace in no newer one (ELOOP).
  std::string pinned_at;
};

struct HostTree {
  base::UniqueFd mount;  // detached copy
  // kBidirectional: a peer of the source. The top of `mount` is private until
  // it joins this one's peer group (MOVE_MOUNT_SET_GROUP), or else whatever is
  // mounted below it before the container runs would appear on the host.
  base::UniqueFd peer;
  bool is_file = false;
};

// A path that was opened. The place stays the same, whatever happens to its
// name. Its mount is busy (umount(2), EBUSY) as long as this exists.
struct HostSource {
  std::string path;  // for messages
  HostPathOptions options;
  base::UniqueFd place;    // O_PATH
  base::UniqueFd user_ns;  // a copy of options.user_ns_fd
};

// kFailedPrecondition: the propagation asked for needs a shared (or, for
// kHostToContainer, a slave) mount and the path is on none
// (mount_namespaces(7)). Other errors are errno's, a missing path among them.
absl::StatusOr<HostSource> OpenHostSource(const std::string& path,
                                          const HostPathOptions& options);

// A detached copy of what is at the place now (open_tree(2)).
// kFailedPrecondition: its file system cannot be idmapped, or (beginning with
// "RROUnsupported") not be made read-only all the way down.
absl::StatusOr<HostTree> CloneHostSource(const HostSource& source);

// The two together.
absl::StatusOr<HostTree> OpenHostPath(const std::string& path,
                                      const HostPathOptions& options);

// mkdir -p of an absolute host path. What is made gets mode 0755 whatever the
// daemon's umask. Returns the last directory, O_PATH.
absl::StatusOr<base::UniqueFd> MakeHostDirs(const std::string& path);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MOUNTS_HOST_PATH_H_
