#ifndef WARREN_RUNTIME_BASE_FILE_H_
#define WARREN_RUNTIME_BASE_FILE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"

// Files by directory descriptor. Paths that a workload, an image or a client
// can influence go through OpenInRoot or OpenBeneath only (FS-1); the rest of
// the functions are for Warren's own trees. All descriptors are O_CLOEXEC, all
// errors carry errno (base::GetErrno). `dirfd` may be AT_FDCWD. Thread-safe.
namespace warren::base {

// openat(2) with O_CLOEXEC added.
absl::StatusOr<UniqueFd> OpenAt(int dirfd, const std::string& path, int flags,
                                mode_t mode = 0);

// openat2(2) below `rootfd` as if it were "/": absolute paths, ".." and
// symlinks stay inside (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS).
absl::StatusOr<UniqueFd> OpenInRoot(int rootfd, const std::string& path,
                                    int flags, mode_t mode = 0);

// openat2(2) that refuses (EXDEV, ELOOP) to leave `dirfd` or to follow any
// symlink (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS).
absl::StatusOr<UniqueFd> OpenBeneath(int dirfd, const std::string& path,
                                     int flags, mode_t mode = 0);

// mkdir -p of the absolute or dirfd-relative `path`, for our own trees.
// Existing directories keep their mode. Returns the last directory, O_PATH.
absl::StatusOr<UniqueFd> MakeDirs(int dirfd, const std::string& path,
                                  mode_t mode);

// The whole content of an open file or of dirfd/path, at most `limit` bytes;
// kResourceExhausted when it is longer.
absl::StatusOr<std::string> ReadFd(int fd, size_t limit);
absl::StatusOr<std::string> ReadFileAt(int dirfd, const std::string& path,
                                       size_t limit = 1 << 20);

// write(2) until done, EINTR and short writes handled.
absl::Status WriteFd(int fd, absl::string_view data);

// One write(2) to an existing file such as those of procfs and cgroupfs.
absl::Status WriteControlAt(int dirfd, const std::string& path,
                            absl::string_view data);

// Replaces dirfd/name as a whole: temporary file in the same directory, write,
// [fsync], rename, [fsync of the directory]. A reader sees the old or the new
// content, never a part. `durable` asks for the two fsyncs.
absl::Status WriteFileAtomic(int dirfd, const std::string& name,
                             absl::string_view data, mode_t mode,
                             bool durable = false);

// A hint that the directories in `dirfd` have nothing to do with each other, so
// that ext4 spreads them over its block groups (chattr +T, chattr(1)). Without
// it all of them share one, and without a journal ext4 steps over every inode
// of the group that was freed in the last minute or so (fs/ext4/ialloc.c,
// recently_deleted) each time it makes one. File systems that do not know the
// flag are left as they are.
void SpreadDirectories(int dirfd);

// Names in a directory without "." and "..", unsorted.
absl::StatusOr<std::vector<std::string>> ListDir(int dirfd,
                                                 const std::string& path);

// rm -rf of dirfd/name that follows no symlink and crosses no mount (EXDEV).
// A missing name is OK. See remove_tree.h, which has one with a deadline.
absl::Status RemoveTree(int dirfd, const std::string& name);

// memfd with `data`, sealed against write, grow, shrink and further seals,
// mode 0500 when `executable`.
absl::StatusOr<UniqueFd> SealedMemfd(const char* name, absl::string_view data,
                                     bool executable);

// A pipe, both ends O_CLOEXEC.
struct Pipe {
  UniqueFd read;
  UniqueFd write;
};
absl::StatusOr<Pipe> MakePipe();

// dup with O_CLOEXEC.
absl::StatusOr<UniqueFd> DupFd(int fd);

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_FILE_H_
