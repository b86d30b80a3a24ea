#include "runtime/seccomp/profile_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "runtime/base/file.h"
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
    // Sockets, and devices without a driver.
    if (error == ENXIO || error == ENODEV) {
      return absl::InvalidArgumentError("is not a regular file");
    }
    return file.status();
  }
  struct stat st;
  if (fstat(file->get(), &st) != 0) return base::ErrnoError(errno, "fstat");
  if (!S_ISREG(st.st_mode)) {
    return absl::InvalidArgumentError("is not a regular file");
  }
  auto text = base::ReadFd(file->get(), kMaxProfileBytes);
  if (absl::IsResourceExhausted(text.status())) {
    return absl::InvalidArgumentError("is too large");
  }
  return text;
}

}  // namespace warren::seccomp
