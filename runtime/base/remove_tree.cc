#include "runtime/base/remove_tree.h"

#include <absl/strings/str_cat.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/status.h"
#include "runtime/base/tree_cursor.h"

namespace warren::base {
namespace {

// Entries between two looks at the deadline.
constexpr unsigned kStride = 256;
// How often in a row one directory may be not empty after all was removed that
// it showed. A file system whose positions shift as names go (tmpfs before
// Linux 6.6) shows half of what is left each time.
constexpr int kMaxPasses = 64;

// unlinkat, 0 or errno; what is gone is removed, and what is busy has a mount
// on it.
int Unlink(int directory, const char* name, int flags) {
  if (unlinkat(directory, name, flags) == 0 || errno == ENOENT) return 0;
  return errno == EBUSY ? EXDEV : errno;
}

bool IsNotEmpty(int error) { return error == ENOTEMPTY || error == EEXIST; }

// Takes off what forbids changes even to root; whatever comes of it.
void Unprotect(int fd) {
  int flags = 0;
  if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) return;
  constexpr int kProtected = FS_IMMUTABLE_FL | FS_APPEND_FL;
  if ((flags & kProtected) == 0) return;
  flags &= ~kProtected;
  ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

// Only regular files and directories can have the marks, and only these are
// opened.
void UnprotectEntry(int directory, const char* name) {
  struct stat st;
  if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
      (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) {
    return;
  }
  const auto fd = OpenAt(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (fd.ok()) Unprotect(fd->get());
}

// Removes what is in a directory, not itself.
class TreeRemover {
 public:
  // `top`: the cursor's first directory once more.
  TreeRemover(UniqueFd top, TreeCursor cursor, const Deadline& deadline)
      : top_(std::move(top)), cursor_(std::move(cursor)), deadline_(deadline) {}

  // One pass: what the top showed is gone.
  absl::Status Run() {
    RETURN_IF_ERROR(cursor_.Rewind());
    for (;;) {
      if (++turn_ % kStride == 0) RETURN_IF_ERROR(deadline_.Check());
      ASSIGN_OR_RETURN(const TreeCursor::Entry* const entry, cursor_.Next());
      if (entry != nullptr) {
        RETURN_IF_ERROR(RemoveEntry(*entry));
        continue;
      }
      if (cursor_.depth() == 0) return absl::OkStatus();
      left_ = cursor_.inode();
      RETURN_IF_ERROR(cursor_.Leave());
    }
  }

  // Directories that were moved up into the top so far.
  uint64_t moved_up() const { return moved_up_; }

 private:
  // 0, ENOTEMPTY when it is a directory to go into, or an error.
  int RemoveName(const TreeCursor::Entry& entry) const {
    const int directory = cursor_.directory();
    int error = EISDIR;
    if (entry.type != DT_DIR) error = Unlink(directory, entry.name, 0);
    if (error == EISDIR) error = Unlink(directory, entry.name, AT_REMOVEDIR);
    return IsNotEmpty(error) ? ENOTEMPTY : error;
  }

  absl::Status RemoveEntry(const TreeCursor::Entry& entry) {
    int error = RemoveName(entry);
    if (error == EPERM) {
      Unprotect(cursor_.directory());
      UnprotectEntry(cursor_.directory(), entry.name);
      error = RemoveName(entry);
    }
    if (error == ENOTEMPTY) return GoInto(entry.name);
    if (error != 0) {
      return ErrnoError(error, absl::StrCat("remove ", entry.name));
    }
    return absl::OkStatus();
  }

  absl::Status GoInto(const char* name) {
    if (cursor_.depth() >= kMaxRemoveDepth && MoveUp(name)) {
      return absl::OkStatus();
    }
    const absl::Status entered = cursor_.Enter(name);
    if (GetErrno(entered) == ENOENT) return absl::OkStatus();
    RETURN_IF_ERROR(entered);
    passes_ = cursor_.inode() == left_ ? passes_ + 1 : 0;
    if (passes_ < kMaxPasses) return absl::OkStatus();
    return ErrnoError(ENOTEMPTY, absl::StrCat("remove ", name));
  }

  // False where that cannot be (no space for a name, a project quota): the walk
  // then goes on down, as far as its memory reaches.
  bool MoveUp(const char* name) {
    bool unprotected = false;
    for (;;) {
      const std::string to = absl::StrCat(".warren-deep-", serial_++);
      if (renameat2(cursor_.directory(), name, top_.get(), to.c_str(),
                    RENAME_NOREPLACE) == 0) {
        ++moved_up_;
        return true;
      }
      if (errno == EEXIST) continue;
      if (errno != EPERM || unprotected) return false;
      unprotected = true;
      Unprotect(top_.get());
      Unprotect(cursor_.directory());
      UnprotectEntry(cursor_.directory(), name);
    }
  }

  UniqueFd top_;
  TreeCursor cursor_;
  const Deadline& deadline_;
  unsigned turn_ = 0;
  uint64_t serial_ = 0;
  uint64_t moved_up_ = 0;
  uint64_t left_ = 0;  // inode of the directory that was left last
  int passes_ = 0;     // over it
};

// What is mounted somewhere is not ours to empty, and what cannot be looked at
// may be mounted.
absl::Status CheckIsNoMount(int fd) {
  struct statx st = {};
  if (statx(fd, "", AT_EMPTY_PATH, 0, &st) != 0) {
    return ErrnoError(errno, "look for a mount");
  }
  const bool mounted = (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  return mounted ? ErrnoError(EXDEV, "a mount") : absl::OkStatus();
}

absl::Status RemoveDirectory(int dirfd, const std::string& name,
                             UniqueFd directory, const Deadline& deadline) {
  RETURN_IF_ERROR(CheckIsNoMount(directory.get()));
  ASSIGN_OR_RETURN(UniqueFd top, DupFd(directory.get()));
  ASSIGN_OR_RETURN(
      TreeCursor cursor,
      TreeCursor::Make(std::move(directory), TreeCursor::Kind::kRemove));
  TreeRemover remover(std::move(top), std::move(cursor), deadline);
  for (int passes = 0;; ++passes) {
    const uint64_t moved_up = remover.moved_up();
    RETURN_IF_ERROR(remover.Run());
    int error = Unlink(dirfd, name.c_str(), AT_REMOVEDIR);
    if (error == EPERM) {
      UnprotectEntry(dirfd, name.c_str());
      error = Unlink(dirfd, name.c_str(), AT_REMOVEDIR);
    }
    if (error == 0) return absl::OkStatus();
    if (remover.moved_up() != moved_up) passes = 0;
    if (!IsNotEmpty(error) || passes == kMaxPasses) {
      return ErrnoError(error, "rmdir");
    }
  }
}

}  // namespace

absl::Status RemoveTree(int dirfd, const std::string& name,
                        const Deadline& deadline) {
  int error = Unlink(dirfd, name.c_str(), 0);
  if (error == EPERM) {
    UnprotectEntry(dirfd, name.c_str());
    error = Unlink(dirfd, name.c_str(), 0);
  }
  if (error == 0) return absl::OkStatus();
  if (error != EISDIR && error != EPERM) {
    return ErrnoError(error, absl::StrCat("unlink ", name));
  }
  ASSIGN_OR_RETURN(
      std::optional<UniqueFd> directory,
      ToLook(OpenAt(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)));
  if (!directory.has_value()) return absl::OkStatus();
  RETURN_IF_ERROR_IN(
      RemoveDirectory(dirfd, name, *std::move(directory), deadline), name);
  return absl::OkStatus();
}

absl::Status RemoveTree(int dirfd, const std::string& name) {
  return RemoveTree(dirfd, name, Deadline::Never());
}

}  // namespace warren::base
