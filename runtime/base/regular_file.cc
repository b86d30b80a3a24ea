#include "runtime/base/regular_file.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::base {
namespace {

absl::Status NotRegular(mode_t mode) {
  const char* kind = S_ISDIR(mode)    ? "a directory"
                     : S_ISFIFO(mode) ? "a FIFO"
                     : S_ISSOCK(mode) ? "a socket"
                                      : "a device";
  return absl::DataLossError(
      absl::StrCat("this is ", kind, ", not a regular file"));
}

absl::Status CheckRegular(int fd) {
  struct stat st;
  if (fstat(fd, &st) != 0) return ErrnoError(errno, "fstat");
  return S_ISREG(st.st_mode) ? absl::OkStatus() : NotRegular(st.st_mode);
}

absl::StatusOr<UniqueFd> Open(int dirfd, const std::string& path) {
  // O_NOCTTY: a terminal in its place must not become ours.
  auto fd = OpenAt(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (IsDamage(fd.status())) return absl::DataLossError(fd.status().message());
  return fd;
}

}  // namespace

absl::StatusOr<std::string> ReadRegularFd(int fd, size_t limit) {
  RETURN_IF_ERROR(CheckRegular(fd));
  auto data = ReadFd(fd, limit);
  if (!data.ok() && GetErrno(data.status()) == 0) {
    return absl::DataLossError(data.status().message());  // longer than `limit`
  }
  return data;
}

absl::StatusOr<std::string> ReadRegularFileAt(int dirfd,
                                              const std::string& path,
                                              size_t limit) {
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(dirfd, path));
  ASSIGN_OR_RETURN_IN(std::string data, ReadRegularFd(fd.get(), limit), path);
  return data;
}

absl::StatusOr<UniqueFd> OpenRegularFileAt(int dirfd, const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(dirfd, path));
  RETURN_IF_ERROR_IN(CheckRegular(fd.get()), path);
  return fd;
}

bool IsDamage(const absl::Status& status) {
  switch (GetErrno(status)) {
    case 0:
      return absl::IsDataLoss(status);
    case ELOOP:   // a symlink where none may be, or a ring of them
    case ENXIO:   // a socket, or a device without a driver
    case ENODEV:  // the same
      return true;
    default:
      return false;
  }
}

}  // namespace warren::base
