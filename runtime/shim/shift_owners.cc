#include "runtime/shim/shift_owners.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "runtime/base/unique_fd.h"

namespace warren::shim {
namespace {

constexpr char kCapability[] = "security.capability";
constexpr int kMaxDepth = 1024;

class Shifter {
 public:
  Shifter(const IdMappings& uids, const IdMappings& gids, dev_t device)
      : uids_(uids), gids_(gids), device_(device) {}

  // Everything in `dir`, then nothing about `dir` itself.
  Failure ShiftContents(base::UniqueFd dir, int depth) {
    if (depth > kMaxDepth) return Fail("shift_owners", ELOOP);
    const int fd = dir.get();
    DIR* stream = fdopendir(dir.release());
    if (stream == nullptr) return Fail("shift_owners", errno);
    Failure failure;
    while (!failure.failed()) {
      errno = 0;
      const dirent* entry = readdir(stream);
      if (entry == nullptr) {
        if (errno != 0) failure = Fail("shift_owners", errno);
        break;
      }
      if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
        failure = ShiftEntry(fd, entry->d_name, depth);
      }
    }
    closedir(stream);
    return failure;
  }

  Failure ShiftOne(int dir, const char* name, const struct stat& st) {
    const uint32_t uid = ShiftId(uids_, st.st_uid);
    const uint32_t gid = ShiftId(gids_, st.st_gid);
    if (uid == st.st_uid && gid == st.st_gid) return {};
    char path[64 + NAME_MAX];
    snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir, name);
    vfs_ns_cap_data caps = {};
    const bool has_caps = S_ISREG(st.st_mode) &&
                          lgetxattr(path, kCapability, &caps, sizeof(caps)) >=
                              static_cast<ssize_t>(XATTR_CAPS_SZ_2);
    if (fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) !=
        0) {
      return Fail("shift_owners", errno, name);
    }
    if (S_ISREG(st.st_mode) && (st.st_mode & (S_ISUID | S_ISGID)) != 0 &&
        fchmodat(dir, name, st.st_mode & 07777, 0) != 0) {
      return Fail("shift_owners", errno, name);
    }
    return has_caps ? PutCapabilities(path, name, caps) : Failure{};
  }

 private:
  Failure ShiftEntry(int dir, const char* name, int depth) {
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return Fail("shift_owners", errno, name);
    }
    Failure failure = ShiftOne(dir, name, st);
    // An overlay shows files under the devices of its layers, but directories
    // under its own: another one there is another mount.
    if (failure.failed() || !S_ISDIR(st.st_mode) || st.st_dev != device_) {
      return failure;
    }
    base::UniqueFd sub(
        openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!sub.valid()) return Fail("shift_owners", errno, name);
    return ShiftContents(std::move(sub), depth + 1);
  }

  // As version 3, bound to the root of the user namespace: only there does
  // such a file give anything (capabilities(7)).
  Failure PutCapabilities(const char* path, const char* name,
                          vfs_ns_cap_data caps) {
    caps.magic_etc = (caps.magic_etc & VFS_CAP_FLAGS_MASK) | VFS_CAP_REVISION_3;
    caps.rootid = ShiftId(uids_, 0);
    return lsetxattr(path, kCapability, &caps, XATTR_CAPS_SZ_3, 0) == 0
               ? Failure{}
               : Fail("shift_owners", errno, name);
  }

  const IdMappings& uids_;
  const IdMappings& gids_;
  const dev_t device_;
};

// True when an id that was shifted could be taken for one that was not: then
// a file with two names would be shifted twice.
bool Overlap(const IdMappings& mappings) {
  for (const v1::IdMapping& from : mappings) {
    for (const v1::IdMapping& to : mappings) {
      if (uint64_t{from.container_id()} <
              uint64_t{to.host_id()} + to.length() &&
          uint64_t{to.host_id()} <
              uint64_t{from.container_id()} + from.length()) {
        return true;
      }
    }
  }
  return false;
}

}  // namespace

uint32_t ShiftId(const IdMappings& mappings, uint32_t id) {
  for (const v1::IdMapping& m : mappings) {
    if (id >= m.container_id() && id - m.container_id() < m.length()) {
      return m.host_id() + (id - m.container_id());
    }
  }
  return id;
}

Failure ShiftOwners(int rootfs_fd, const IdMappings& uids,
                    const IdMappings& gids) {
  if (uids.empty() && gids.empty()) return {};
  if (Overlap(uids) || Overlap(gids)) {
    return Fail("shift_owners", EINVAL, "mappings overlap");
  }
  base::UniqueFd root(
      openat(rootfs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return Fail("shift_owners", errno);
  struct stat st;
  if (fstat(root.get(), &st) != 0) return Fail("shift_owners", errno);
  Shifter shifter(uids, gids, st.st_dev);
  const Failure failure = shifter.ShiftOne(root.get(), "", st);
  if (failure.failed()) return failure;
  return shifter.ShiftContents(std::move(root), 0);
}

}  // namespace warren::shim
