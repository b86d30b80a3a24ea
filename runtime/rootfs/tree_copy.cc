#include "runtime/rootfs/tree_copy.h"

#include <absl/status/statusor.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/string_view.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/base/tree_cursor.h"
#include "runtime/base/unique_fd.h"
#include "runtime/identity/id_map.h"

namespace warren::runtime {
namespace {

constexpr size_t kXattrLimit = 64 << 10;  // XATTR_LIST_MAX, XATTR_SIZE_MAX

absl::Status TooMuch(absl::string_view what) {
  return absl::ResourceExhaustedError(
      absl::StrCat("the image has too ", what, " to fill its volumes with"));
}

bool WantsXattr(absl::string_view name) {
  return name == "security.capability" ||
         (absl::StartsWith(name, "user.") &&
          !absl::StartsWith(name, "user.overlay."));
}

// Best effort where a file system has none.
absl::Status CopyXattrs(int from, int to) {
  std::string names(kXattrLimit, '\0');
  const ssize_t n = flistxattr(from, names.data(), names.size());
  if (n <= 0) return absl::OkStatus();
  std::string value;
  for (size_t at = 0; at < static_cast<size_t>(n);) {
    const char* name = names.data() + at;
    at += strlen(name) + 1;
    if (!WantsXattr(name)) continue;
    value.resize(kXattrLimit);
    const ssize_t size = fgetxattr(from, name, value.data(), value.size());
    if (size < 0) continue;
    if (fsetxattr(to, name, value.data(), static_cast<size_t>(size), 0) != 0 &&
        errno != ENOTSUP) {
      return base::ErrnoError(errno, absl::StrCat("attribute ", name));
    }
  }
  return absl::OkStatus();
}

class Copier {
 public:
  explicit Copier(TreeCopyOptions* options) : o_(*options) {}

  // Contents, then the directory itself: two cursors side by side.
  absl::Status CopyContents(base::UniqueFd from, base::UniqueFd to) {
    using Cursor = base::TreeCursor;
    ASSIGN_OR_RETURN(Cursor in,
                     Cursor::Make(std::move(from), Cursor::Kind::kLook));
    // Nothing is read from it, so there is no place in it to come back to.
    ASSIGN_OR_RETURN(Cursor out,
                     Cursor::Make(std::move(to), Cursor::Kind::kRemove));
    for (;;) {
      ASSIGN_OR_RETURN(const Cursor::Entry* const entry, in.Next());
      if (entry == nullptr) {
        RETURN_IF_ERROR(CopyDirectoryFacts(in.directory(), out.directory()));
        if (in.depth() == 0) return absl::OkStatus();
        RETURN_IF_ERROR(in.Leave());
        RETURN_IF_ERROR(out.Leave());
        continue;
      }
      const std::string name = entry->name;
      ASSIGN_OR_RETURN_IN(const bool enter,
                          CopyEntry(in.directory(), out.directory(), name),
                          name);
      if (!enter) continue;
      if (in.depth() >= o_.max_depth) return TooMuch("deep a tree");
      RETURN_IF_ERROR_IN(in.Enter(name.c_str()), name);
      RETURN_IF_ERROR_IN(out.Enter(name.c_str()), name);
    }
  }

 private:
  // True: a directory, which was made, but has nothing in it yet.
  absl::StatusOr<bool> CopyEntry(int from, int to, const std::string& name) {
    if (o_.max_entries == 0) return TooMuch("many files");
    --o_.max_entries;
    struct stat st;
    if (fstatat(from, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return base::ErrnoError(errno, "stat");
    }
    absl::Status copied;
    switch (st.st_mode & S_IFMT) {
      case S_IFDIR:
        if (mkdirat(to, name.c_str(), 0700) != 0) {
          return base::ErrnoError(errno, "mkdir");
        }
        return true;
      case S_IFREG:
        copied = CopyFile(from, to, name);
        break;
      case S_IFLNK:
        copied = CopyLink(from, to, name, st);
        break;
      case S_IFIFO:
        copied = CopyFifo(to, name, st);
        break;
      default:
        break;
    }
    RETURN_IF_ERROR(copied);
    return false;
  }

  absl::Status CopyDirectoryFacts(int from, int to) {
    struct stat st;
    if (fstat(from, &st) != 0) return base::ErrnoError(errno, "stat");
    return CopyFacts(from, to, st);
  }

  absl::Status CopyFifo(int to, const std::string& name,
                        const struct stat& st) {
    if (mknodat(to, name.c_str(), S_IFIFO | 0600, 0) != 0) {
      return base::ErrnoError(errno, "mknod");
    }
    return SetNamed(to, name, st);
  }

  absl::Status CopyFile(int from, int to, const std::string& name) {
    ASSIGN_OR_RETURN(
        const base::UniqueFd in,
        base::OpenAt(from, name,
                     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
    struct stat st;
    if (fstat(in.get(), &st) != 0) return base::ErrnoError(errno, "stat");
    if (!S_ISREG(st.st_mode)) return base::ErrnoError(ELOOP, "open");
    ASSIGN_OR_RETURN(
        const base::UniqueFd out,
        base::OpenAt(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    for (;;) {
      const size_t want = std::min<uint64_t>(o_.max_bytes, 1 << 20);
      const ssize_t n = sendfile(out.get(), in.get(), nullptr, want + 1);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return base::ErrnoError(errno, "copy");
      if (n == 0) break;
      if (static_cast<uint64_t>(n) > o_.max_bytes) return TooMuch("much data");
      o_.max_bytes -= static_cast<uint64_t>(n);
    }
    return CopyFacts(in.get(), out.get(), st);
  }

  absl::Status CopyLink(int from, int to, const std::string& name,
                        const struct stat& st) {
    char text[PATH_MAX] = {};
    const ssize_t n = readlinkat(from, name.c_str(), text, sizeof(text) - 1);
    if (n < 0) return base::ErrnoError(errno, "readlink");
    if (symlinkat(text, to, name.c_str()) != 0) {
      return base::ErrnoError(errno, "symlink");
    }
    return SetOwner(to, name, st);
  }

  // A change of the owner clears set-id bits and capabilities: it comes first.
  absl::Status CopyFacts(int from, int to, const struct stat& st) {
    RETURN_IF_ERROR(SetOwner(to, "", st));
    if (fchmod(to, st.st_mode & 07777) != 0) {
      return base::ErrnoError(errno, "chmod");
    }
    RETURN_IF_ERROR(CopyXattrs(from, to));
    const timespec times[] = {st.st_atim, st.st_mtim};
    if (futimens(to, times) != 0) return base::ErrnoError(errno, "set times");
    return absl::OkStatus();
  }

  absl::Status SetNamed(int to, const std::string& name,
                        const struct stat& st) {
    RETURN_IF_ERROR(SetOwner(to, name, st));
    // Made by us in a directory that nobody else reaches: no link.
    if (fchmodat(to, name.c_str(), st.st_mode & 07777, 0) != 0) {
      return base::ErrnoError(errno, "chmod");
    }
    return absl::OkStatus();
  }

  absl::Status SetOwner(int to, const std::string& name,
                        const struct stat& st) const {
    const uid_t uid = ToHostId(o_.uid_mappings, st.st_uid).value_or(st.st_uid);
    const gid_t gid = ToHostId(o_.gid_mappings, st.st_gid).value_or(st.st_gid);
    const int flags = AT_SYMLINK_NOFOLLOW | (name.empty() ? AT_EMPTY_PATH : 0);
    if (fchownat(to, name.c_str(), uid, gid, flags) != 0) {
      return base::ErrnoError(errno, "chown");
    }
    return absl::OkStatus();
  }

  TreeCopyOptions& o_;
};

}  // namespace

absl::Status CopyTree(int from, int to, TreeCopyOptions* options) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY;
  ASSIGN_OR_RETURN(base::UniqueFd in, base::OpenAt(from, ".", kFlags));
  ASSIGN_OR_RETURN(base::UniqueFd out, base::OpenAt(to, ".", kFlags));
  return Copier(options).CopyContents(std::move(in), std::move(out));
}

}  // namespace warren::runtime
