#ifndef WARREN_RUNTIME_BASE_MOUNT_CALLS_H_
#define WARREN_RUNTIME_BASE_MOUNT_CALLS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/unique_fd.h"

// The mount calls of Linux 5.2 and later by descriptor (FS-1): file systems
// and trees are made detached, get their attributes, and only then are moved
// to a place. Thread-safe; errors carry errno and, for fsopen(2), the kernel's
// own words.
namespace warren::base {

// One thing to say to fsconfig(2).
struct FsParameter {
  std::string key;
  std::string value;  // with `fd` < 0; empty = a flag
  int fd = -1;        // FSCONFIG_SET_FD
};

// A new instance of a file system, detached. `attributes`: MOUNT_ATTR_*.
absl::StatusOr<UniqueFd> NewFileSystem(
    const std::string& type, const std::vector<FsParameter>& parameters,
    uint64_t attributes);

// A detached copy of the mount (with `recursive`: the tree of mounts) at
// dirfd/path, which must be in the caller's mount namespace. "" = dirfd.
absl::StatusOr<UniqueFd> CloneTree(int dirfd, const std::string& path,
                                   bool recursive);

struct MountChange {
  uint64_t set = 0;          // MOUNT_ATTR_*
  uint64_t propagation = 0;  // MS_PRIVATE, MS_SLAVE, MS_SHARED
  int user_ns_fd = -1;       // with MOUNT_ATTR_IDMAP
  bool recursive = false;
};
absl::Status ChangeMount(int mount_fd, const MountChange& change);

// Path of what is open, links followed, in the caller's mount namespace
// (proc_pid_fd(5)). By the time it is used it may be another's: compare what is
// opened by it with what was.
absl::StatusOr<std::string> PathOfFd(int fd);

// Moves a detached mount onto the place behind `target_fd` (O_PATH).
absl::Status AttachMount(int mount_fd, int target_fd);

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_MOUNT_CALLS_H_
