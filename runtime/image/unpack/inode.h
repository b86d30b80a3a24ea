#ifndef WARREN_RUNTIME_IMAGE_UNPACK_INODE_H_
#define WARREN_RUNTIME_IMAGE_UNPACK_INODE_H_

#include <absl/status/status.h>
#include <absl/strings/string_view.h>
#include <sys/stat.h>

#include <string>

#include "runtime/image/tar_entry.h"

// What a member of an archive says about an inode, put on it by descriptor.
namespace warren::image {

// errno of a file system call on a name from an archive: kInvalidArgument
// where the archive is to blame (a name too long, a parent that is no
// directory, a symlink loop), otherwise as base::ErrnoError.
absl::Status FileError(int err, absl::string_view what, absl::string_view path);

// Owner, mode, extended attributes, times, in the order in which none undoes
// another (chown clears set-user-id bits and capabilities). Attributes that
// are not kept (README) are skipped.
absl::Status ApplyMetadata(int fd, const TarEntry& entry);
// The same for a symlink or FIFO `name` in `directory`: owner and times only.
absl::Status ApplyOwner(int directory, const std::string& name,
                        const TarEntry& entry);

// Sets kOpaqueXattr on the directory: overlayfs shows nothing of the layers
// below it (kernel document filesystems/overlayfs, "whiteouts and opaque
// directories").
absl::Status MarkOpaque(int directory);
bool IsOpaque(int directory);
// A character device 0:0, which hides its name in the layers below.
bool IsWhiteout(const struct stat& st);

// Keeps the modification time of a directory while members are put into it:
// the destructor sets it back. `directory` is borrowed.
class KeepTime {
 public:
  explicit KeepTime(int directory);
  ~KeepTime();
  KeepTime(const KeepTime&) = delete;
  KeepTime& operator=(const KeepTime&) = delete;

 private:
  const int directory_;
  bool valid_ = false;
  timespec mtime_ = {};
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_UNPACK_INODE_H_
