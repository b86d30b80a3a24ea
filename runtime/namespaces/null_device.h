#ifndef WARREN_RUNTIME_NAMESPACES_NULL_DEVICE_H_
#define WARREN_RUNTIME_NAMESPACES_NULL_DEVICE_H_

#include <absl/status/statusor.h>

#include "runtime/base/unique_fd.h"

namespace warren::runtime {

// Where it is below the root of MakeNullDevice(): what a program sees as the
// name of its stdin, as no mount of this file system is in sight of one.
inline constexpr char kNullName[] = "dev/null";

// A detached tmpfs of the host's user namespace that holds nothing but a null
// device (1:3), mode 0666, root's. It covers masked files and is the stdin of
// containers, which so get no inode of the host's file systems (FS-11). Both
// the file system and its mount are read-only: nobody changes mode, owner,
// times or attributes of the node, through no copy of the mount and no
// descriptor. Reading and writing the device stays possible. The mount alone
// would not do: a user namespace's root may change the flags of a mount that it
// attached, but not of a file system that it did not make. Errors are errno's;
// a few system calls; thread-safe.
absl::StatusOr<base::UniqueFd> MakeNullDevice();

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_NAMESPACES_NULL_DEVICE_H_
