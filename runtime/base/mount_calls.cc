#include "runtime/base/mount_calls.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/status.h"

namespace warren::base {
namespace {

// What the kernel has to say about a failed fsconfig: one message per read(2),
// with "e ", "w " or "i " in front.
std::string KernelWords(int fs) {
  std::string words;
  char text[512];
  for (;;) {
    const ssize_t n = read(fs, text, sizeof(text));
    if (n <= 0) return words;
    absl::string_view line(text, static_cast<size_t>(n));
    line = absl::StripSuffix(line, "\n");
    if (line.size() > 2) line.remove_prefix(2);
    absl::StrAppend(&words, words.empty() ? " (" : "; ", line);
  }
}

absl::Status FsError(int fs, int error, const std::string& where) {
  std::string words = KernelWords(fs);
  if (!words.empty()) words += ")";
  return ErrnoError(error, absl::StrCat(where, words));
}

int Configure(int fs, const FsParameter& p) {
  if (p.fd >= 0) {
    return fsconfig(fs, FSCONFIG_SET_FD, p.key.c_str(), nullptr, p.fd);
  }
  if (p.value.empty()) {
    return fsconfig(fs, FSCONFIG_SET_FLAG, p.key.c_str(), nullptr, 0);
  }
  return fsconfig(fs, FSCONFIG_SET_STRING, p.key.c_str(), p.value.c_str(), 0);
}

}  // namespace

absl::StatusOr<UniqueFd> NewFileSystem(
    const std::string& type, const std::vector<FsParameter>& parameters,
    uint64_t attributes) {
  const UniqueFd fs(fsopen(type.c_str(), FSOPEN_CLOEXEC));
  if (!fs.valid()) return ErrnoError(errno, absl::StrCat("fsopen ", type));
  // What mount tables show in front, as with mount(8); else "none".
  if (fsconfig(fs.get(), FSCONFIG_SET_STRING, "source", type.c_str(), 0) != 0) {
    return FsError(fs.get(), errno, absl::StrCat("source of ", type));
  }
  for (const FsParameter& p : parameters) {
    if (Configure(fs.get(), p) != 0) {
      return FsError(fs.get(), errno,
                     absl::StrCat(type, " option ", p.key,
                                  p.value.empty() ? "" : "=", p.value));
    }
  }
  if (fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return FsError(fs.get(), errno, absl::StrCat("make ", type));
  }
  UniqueFd mount(
      fsmount(fs.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)));
  if (!mount.valid()) {
    return FsError(fs.get(), errno, absl::StrCat("fsmount ", type));
  }
  return mount;
}

absl::StatusOr<UniqueFd> CloneTree(int dirfd, const std::string& path,
                                   bool recursive) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  if (recursive) flags |= AT_RECURSIVE;
  if (path.empty()) flags |= AT_EMPTY_PATH;
  UniqueFd tree(open_tree(dirfd, path.c_str(), flags));
  if (!tree.valid()) {
    return ErrnoError(errno, absl::StrCat("open_tree ", path));
  }
  return tree;
}

absl::Status ChangeMount(int mount_fd, const MountChange& change) {
  mount_attr attr = {};
  attr.attr_set = change.set;
  attr.propagation = change.propagation;
  if (change.user_ns_fd >= 0) {
    attr.userns_fd = static_cast<uint64_t>(change.user_ns_fd);
  }
  const unsigned flags = AT_EMPTY_PATH | (change.recursive ? AT_RECURSIVE : 0u);
  if (mount_setattr(mount_fd, "", flags, &attr, sizeof(attr)) != 0) {
    return ErrnoError(errno, "mount_setattr");
  }
  return absl::OkStatus();
}

absl::Status AttachMount(int mount_fd, int target_fd) {
  if (move_mount(mount_fd, "", target_fd, "",
                 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    return ErrnoError(errno, "move_mount");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> PathOfFd(int fd) {
  char text[PATH_MAX];
  const std::string link = absl::StrCat("/proc/self/fd/", fd);
  const ssize_t size = readlink(link.c_str(), text, sizeof(text));
  if (size < 0) return ErrnoError(errno, "readlink of a descriptor");
  return std::string(text, static_cast<size_t>(size));
}

}  // namespace warren::base
