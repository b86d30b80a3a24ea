#ifndef WARREN_RUNTIME_SECCOMP_PROFILE_FILE_H_
#define WARREN_RUNTIME_SECCOMP_PROFILE_FILE_H_

#include <absl/status/statusor.h>

#include <string>

namespace warren::seccomp {

// The text of a profile of the node. `path` is absolute. The file must be a
// regular one of at most kMaxProfileBytes and no symbolic link itself, so that
// a path names one profile and no other; directories above it may be links.
// Opening it never waits. kFailedPrecondition when it is not there,
// kInvalidArgument when it is no such file.
absl::StatusOr<std::string> ReadProfileFile(const std::string& path);

}  // namespace warren::seccomp

#endif  // WARREN_RUNTIME_SECCOMP_PROFILE_FILE_H_
