#ifndef WARREN_RUNTIME_BASE_REGULAR_FILE_H_
#define WARREN_RUNTIME_BASE_REGULAR_FILE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <string>

#include "runtime/base/unique_fd.h"

// Reads of files that are kept on a disk: Warren's own ones, those that a
// node's administrator writes and those of images. A file of a disk is read in
// no other way (tests/lint/calls.py, rule "read"). Whatever stands in place of
// the file, a read neither waits for another process nor takes more than
// `limit` bytes.
//
// An error tells damage from a look that failed:
//   kDataLoss      there is something, and it is not such a file: a FIFO, a
//                  directory, a socket, a device, or more than `limit` bytes.
//                  It carries no errno.
//   anything else  the look itself failed; it carries errno (base::GetErrno).
//                  Only ENOENT and ENOTDIR prove that nothing is there. After
//                  EIO, EMFILE, ENOMEM or EACCES the content is unknown.
// Thread-safe.
namespace warren::base {

// The whole content of dirfd/path. `dirfd` may be AT_FDCWD. Symlinks are
// followed.
absl::StatusOr<std::string> ReadRegularFileAt(int dirfd,
                                              const std::string& path,
                                              size_t limit = 1 << 20);

// The same file, opened for one who reads it piece by piece.
absl::StatusOr<UniqueFd> OpenRegularFileAt(int dirfd, const std::string& path);

// The content from the place of `fd` on. The caller opened it with O_NONBLOCK,
// because the open of a FIFO waits else.
absl::StatusOr<std::string> ReadRegularFd(int fd, size_t limit);

// True for an error of one of the above, or of an open, that proves damage.
bool IsDamage(const absl::Status& status);

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_REGULAR_FILE_H_
