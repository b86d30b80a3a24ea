#ifndef WARREN_RUNTIME_IMAGE_UNPACK_CONFINE_H_
#define WARREN_RUNTIME_IMAGE_UNPACK_CONFINE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "runtime/base/unique_fd.h"

// The walls around a process that looks inside a layer (IMG-1). Changes the
// whole process, which must have one thread. Call in this order; each step's
// picture is in ../README.md.
//
// Why a user namespace with every id mapped to itself: files of a layer can
// belong to any id, so some CAP_CHOWN is needed; in this namespace it counts
// for the layer's files and for nothing of the host. The price is that
// trusted.overlay.* cannot be written, hence user.overlay.* and the mount
// option userxattr.
namespace warren::image {

// Resource limits of limits.h, no core.
absl::Status LimitResources();

// Takes the process into its namespaces with the directory behind `target` as
// "/" (nosuid, nodev, noexec, nosymfollow) and nothing else in its mount
// table; closes every descriptor but 0, 1 and 2. Returns the new root, open
// for reading. Needs CAP_SYS_ADMIN and CAP_SETUID, CAP_SETGID where it starts;
// kResourceExhausted when user namespaces are switched off
// (user.max_user_namespaces).
absl::StatusOr<base::UniqueFd> EnterDirectory(int target);

// Drops every capability but the five of the README for good, asks to be
// killed when the parent dies (and fails when the reader of `result_fd` has
// gone already), and loads the seccomp allow-list: afterwards only file calls
// inside the root are possible.
absl::Status LockDown(int result_fd);

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_UNPACK_CONFINE_H_
