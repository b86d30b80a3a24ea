#include "runtime/shim/pins.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace warren::shim {
namespace {

bool SetOption(int fs, const char* key, unsigned long long value) {
  char text[24];
  snprintf(text, sizeof(text), "%llu", value);
  return fsconfig(fs, FSCONFIG_SET_STRING, key, text, 0) == 0;
}

}  // namespace

Failure Pins::Enter(int mnt_ns_fd) {
  return setns(mnt_ns_fd, CLONE_NEWNS) == 0 ? Failure{} : Fail("pin", errno);
}

Failure Pins::Pin(int ns_fd, const char* name) {
  const base::UniqueFd tree(open_tree(ns_fd, "",
                                      static_cast<unsigned>(AT_EMPTY_PATH) |
                                          OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree.valid()) return Fail("pin", errno, name);
  const base::UniqueFd file(openat(
      dir_, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400));
  if (!file.valid()) return Fail("pin", errno, name);
  files_.push_back(name);
  return move_mount(tree.get(), "", dir_, name, MOVE_MOUNT_F_EMPTY_PATH) == 0
             ? Failure{}
             : Fail("pin", errno, name);
}

Failure Pins::Attach(int mount, const char* name) {
  if (mkdirat(dir_, name, 0700) != 0) return Fail("pin", errno, name);
  directories_.push_back(name);
  return move_mount(mount, "", dir_, name, MOVE_MOUNT_F_EMPTY_PATH) == 0
             ? Failure{}
             : Fail("pin", errno, name);
}

void Pins::Undo() {
  // umount2 has no directory descriptor; the names are plain, so that from
  // inside the directory nothing else can be meant.
  if (fchdir(dir_) != 0) return;
  for (const char* name : files_) {
    umount2(name, MNT_DETACH | UMOUNT_NOFOLLOW);
    unlinkat(dir_, name, 0);
  }
  for (const char* name : directories_) {
    umount2(name, MNT_DETACH | UMOUNT_NOFOLLOW);
    unlinkat(dir_, name, AT_REMOVEDIR);
  }
}

base::UniqueFd MakeShm(uint64_t size_bytes, uint32_t uid, uint32_t gid) {
  const base::UniqueFd fs(fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!fs.valid() ||
      fsconfig(fs.get(), FSCONFIG_SET_STRING, "source", "shm", 0) != 0 ||
      !SetOption(fs.get(), "size", size_bytes) ||
      fsconfig(fs.get(), FSCONFIG_SET_STRING, "mode", "1777", 0) != 0 ||
      !SetOption(fs.get(), "uid", uid) || !SetOption(fs.get(), "gid", gid) ||
      fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return {};
  }
  return base::UniqueFd(
      fsmount(fs.get(), FSMOUNT_CLOEXEC,
              MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
}

}  // namespace warren::shim
