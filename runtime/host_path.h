#ifndef WARREN_RUNTIME_HOST_PATH_H_
#define WARREN_RUNTIME_HOST_PATH_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <string>

#include "runtime/base/unique_fd.h"
#include "runtime/runtime.h"

// Paths of the host that a container mounts, opened once and before anything
// of the pod can run (FS-6). The caller's path is followed through symlinks:
// it comes from the orchestrator, which may name any place of the host.
namespace warren::runtime {

struct HostPathOptions {
  uint64_t attributes = 0;            // MOUNT_ATTR_* of the top mount
  bool recursive_attributes = false;  // … and of all mounts below it
  bool make_missing = false;          // as a folder, mode 0755
  bool recursive = true;              // with all mounts below (rbind)
  MountPropagation propagation = MountPropagation::kPrivate;
};

struct HostTree {
  base::UniqueFd mount;  // detached copy
  bool is_file = false;
};

// kFailedPrecondition: the propagation asked for needs a shared (or, for
// kHostToContainer, a slave) mount and the path is on none.
absl::StatusOr<HostTree> OpenHostPath(const std::string& path,
                                      const HostPathOptions& options);

// mkdir -p of an absolute host path. What is made gets mode 0755 whatever the
// daemon's umask. Returns the last folder, O_PATH.
absl::StatusOr<base::UniqueFd> MakeHostDirs(const std::string& path);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_HOST_PATH_H_
