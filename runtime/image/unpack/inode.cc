#include "runtime/image/unpack/inode.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <endian.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <cerrno>
#include <cstring>

#include "runtime/base/status.h"
#include "runtime/image/unpack_protocol.h"

namespace warren::image {
namespace {

constexpr absl::string_view kCapability = "security.capability";

bool IsKept(absl::string_view name) {
  if (name == kCapability) return true;
  return absl::StartsWith(name, "user.") &&
         !absl::StartsWith(name, "user.overlay.");
}

// File capabilities of revision 2. Those of revision 3 name the root of the
// user namespace of whoever built the image, which means nothing here, so
// they are stored as revision 2 without it.
absl::StatusOr<std::string> FileCapability(const std::string& value) {
  vfs_ns_cap_data data = {};
  if (value.size() != XATTR_CAPS_SZ_2 && value.size() != XATTR_CAPS_SZ_3) {
    return absl::InvalidArgumentError("file capability has a wrong size");
  }
  memcpy(&data, value.data(), value.size());
  const uint32_t magic = le32toh(data.magic_etc);
  const uint32_t revision = magic & VFS_CAP_REVISION_MASK;
  const bool fits =
      (revision == VFS_CAP_REVISION_2 && value.size() == XATTR_CAPS_SZ_2) ||
      (revision == VFS_CAP_REVISION_3 && value.size() == XATTR_CAPS_SZ_3);
  if (!fits) {
    return absl::InvalidArgumentError("file capability of unknown revision");
  }
  data.magic_etc =
      htole32((magic & ~VFS_CAP_REVISION_MASK) | VFS_CAP_REVISION_2);
  return std::string(reinterpret_cast<const char*>(&data), XATTR_CAPS_SZ_2);
}

absl::Status ApplyXattrs(int fd, const TarEntry& entry) {
  for (const auto& [name, raw] : entry.xattrs) {
    if (!IsKept(name)) continue;
    std::string value = raw;
    if (name == kCapability) {
      if (entry.type != TarEntry::Type::kFile) continue;
      ASSIGN_OR_RETURN(value, FileCapability(raw));
    }
    if (fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) != 0) {
      return FileError(errno, "set an extended attribute of", entry.path);
    }
  }
  return absl::OkStatus();
}

timespec ModificationTime(const TarEntry& entry) {
  timespec time = {};
  time.tv_sec = entry.mtime_seconds;
  time.tv_nsec = entry.mtime_nanoseconds;
  return time;
}

}  // namespace

absl::Status FileError(int err, absl::string_view what,
                       absl::string_view path) {
  const std::string where = absl::StrCat(what, " \"", Printable(path), "\"");
  switch (err) {
    case ENAMETOOLONG:
    case ENOTDIR:
    case ELOOP:
    case ENOENT:
    case EXDEV:
    case EEXIST:
    case EISDIR:
    case EINVAL:
    case ERANGE:
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": ", strerror(err)));
    default:
      return base::ErrnoError(err, where);
  }
}

absl::Status ApplyMetadata(int fd, const TarEntry& entry) {
  if (fchown(fd, entry.uid, entry.gid) != 0) {
    return FileError(errno, "set the owner of", entry.path);
  }
  if (fchmod(fd, entry.mode) != 0) {
    return FileError(errno, "set the mode of", entry.path);
  }
  RETURN_IF_ERROR(ApplyXattrs(fd, entry));
  const timespec time = ModificationTime(entry);
  const timespec times[2] = {time, time};
  if (futimens(fd, times) != 0) {
    return FileError(errno, "set the time of", entry.path);
  }
  return absl::OkStatus();
}

absl::Status ApplyOwner(int directory, const std::string& name,
                        const TarEntry& entry) {
  if (fchownat(directory, name.c_str(), entry.uid, entry.gid,
               AT_SYMLINK_NOFOLLOW) != 0) {
    return FileError(errno, "set the owner of", entry.path);
  }
  const timespec time = ModificationTime(entry);
  const timespec times[2] = {time, time};
  if (utimensat(directory, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return FileError(errno, "set the time of", entry.path);
  }
  return absl::OkStatus();
}

absl::Status MarkOpaque(int directory) {
  if (fsetxattr(directory, kOpaqueXattr, "y", 1, 0) != 0) {
    return base::ErrnoError(errno, "mark a directory opaque");
  }
  return absl::OkStatus();
}

// The mark can only be one that MarkOpaque made: archives cannot set it.
bool IsOpaque(int directory) {
  char value = 0;
  return fgetxattr(directory, kOpaqueXattr, &value, 1) == 1 && value == 'y';
}

bool IsWhiteout(const struct stat& st) {
  return S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

KeepTime::KeepTime(int directory) : directory_(directory) {
  struct stat st;
  valid_ = fstat(directory, &st) == 0;
  if (valid_) mtime_ = st.st_mtim;
}

// A time that cannot be put back is not worth failing a layer for.
KeepTime::~KeepTime() {
  if (!valid_) return;
  const timespec times[2] = {{0, UTIME_OMIT}, mtime_};
  (void)futimens(directory_, times);
}

}  // namespace warren::image
