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
#include <memory>
#include <utility>
#include <vector>

#include "runtime/base/unique_fd.h"

namespace warren::shim {
namespace {

constexpr char kCapability[] = "security.capability";

class Shifter {
 public:
  Shifter(const IdMappings& uids, const IdMappings& gids, dev_t device)
      : uids_(uids), gids_(gids), device_(device) {}

  // Everything below `top`, but not `top` itself.
  Failure ShiftBelow(base::UniqueFd top) {
    Failure failure = Enter(std::move(top));
    while (!failure.failed() && !levels_.empty()) {
      DIR* const stream = levels_.back().get();
      errno = 0;
      const dirent* entry = readdir(stream);
      if (entry == nullptr) {
        if (errno != 0) failure = Fail("shift_owners", errno);
        levels_.pop_back();
      } else if (strcmp(entry->d_name, ".") != 0 &&
                 strcmp(entry->d_name, "..") != 0) {
        failure = ShiftEntry(dirfd(stream), entry->d_name);
      }
    }
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
  struct CloseDir {
    void operator()(DIR* stream) const { closedir(stream); }
  };

  // Its entries come next.
  Failure Enter(base::UniqueFd dir) {
    if (levels_.size() == kMaxShiftDepth) return Fail("shift_owners", ELOOP);
    DIR* const stream = fdopendir(dir.get());
    if (stream == nullptr) return Fail("shift_owners", errno);
    (void)dir.release();  // the stream's
    levels_.emplace_back(stream);
    return {};
  }

  Failure ShiftEntry(int dir, const char* name) {
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
    return Enter(std::move(sub));
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
  // The way down, each directory where it was left. They stay open: a change of
  // owner copies a file up, after which an overlay lists its directory in
  // another order to those who open it anew.
  std::vector<std::unique_ptr<DIR, CloseDir>> levels_;
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
  return shifter.ShiftBelow(std::move(root));
}

}  // namespace warren::shim
