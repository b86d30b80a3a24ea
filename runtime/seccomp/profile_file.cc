#include "runtime/seccomp/profile_file.h"

#include <fcntl.h>

#include <cerrno>

#include "runtime/base/file.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"
#include "runtime/seccomp/profile_json.h"

namespace warren::seccomp {

absl::StatusOr<std::string> ReadProfileFile(const std::string& path) {
  if (path.empty() || path[0] != '/') {
    return absl::InvalidArgumentError("is no absolute path");
  }
  auto file = base::OpenAt(AT_FDCWD, path,
                           O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (!file.ok()) {
    const int error = base::GetErrno(file.status());
    if (error == ENOENT || error == ENOTDIR) {
      return absl::FailedPreconditionError("is not there");
    }
    if (error == ELOOP) {
      return absl::InvalidArgumentError("is a symbolic link");
    }
    if (base::IsDamage(file.status())) {
      return absl::InvalidArgumentError("is not a regular file");
    }
    return file.status();
  }
  auto text = base::ReadRegularFd(file->get(), kMaxProfileBytes);
  if (base::IsDamage(text.status())) {
    return absl::InvalidArgumentError(text.status().message());
  }
  return text;
}

}  // namespace warren::seccomp
