#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/init/context.h"
#include "runtime/init/target.h"

namespace warren::init {
namespace {

constexpr int kEmpty = AT_EMPTY_PATH;

// MOUNT_ATTR_* `set` and a propagation type on the mount behind `fd`. The
// propagation goes down the tree, as mount(8)'s r-types do.
int SetAttributes(int fd, uint64_t set, uint64_t propagation) {
  if (set != 0) {
    mount_attr attr = {};
    attr.attr_set = set;
    if ((set & MOUNT_ATTR__ATIME) != 0) attr.attr_clr = MOUNT_ATTR__ATIME;
    if (mount_setattr(fd, "", kEmpty, &attr, sizeof(attr)) != 0) return errno;
  }
  if (propagation != 0) {
    mount_attr attr = {};
    attr.propagation = propagation;
    if (mount_setattr(fd, "", kEmpty | AT_RECURSIVE, &attr, sizeof(attr)) !=
        0) {
      return errno;
    }
  }
  return 0;
}

int MoveTo(int mount_fd, int target_fd) {
  return move_mount(mount_fd, "", target_fd, "",
                    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0
             ? 0
             : errno;
}

// Detached copy of the mount behind `fd`.
int CloneTree(int fd, int flags) {
  return open_tree(fd, "",
                   static_cast<unsigned>(kEmpty | flags) | OPEN_TREE_CLONE |
                       OPEN_TREE_CLOEXEC);
}

// A new instance of a file system, detached. Returns a descriptor or -1.
int NewFs(const char* type, const FsOption* options, size_t count,
          uint64_t attributes) {
  const int fs = fsopen(type, FSOPEN_CLOEXEC);
  if (fs < 0) return -1;
  bool ok = fsconfig(fs, FSCONFIG_SET_STRING, "source", type, 0) == 0;
  for (size_t i = 0; ok && i < count; ++i) {
    const FsOption& o = options[i];
    ok = fsconfig(fs,
                  o.value == nullptr ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING,
                  o.key, o.value, 0) == 0;
  }
  ok = ok && fsconfig(fs, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0;
  const int fd =
      ok ? fsmount(fs, FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)) : -1;
  const int error = errno;
  close(fs);
  errno = error;
  return fd;
}

bool IsDirectory(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

// The mount that `fd` lies in, as a number of its own; `inode` of the file. 0
// is no number.
uint64_t MountId(int fd, uint64_t* inode) {
  struct statx st = {};
  if (syscall(SYS_statx, fd, "", kEmpty, STATX_INO | STATX_MNT_ID, &st) != 0 ||
      (st.stx_mask & STATX_MNT_ID) == 0) {
    return 0;
  }
  *inode = st.stx_ino;
  return st.stx_mnt_id;
}

// FS-6: wherever the links of a volume lead, nothing comes to lie over what a
// procfs shows, be it the container's own or one that a volume brought along.
// What may lie over the whole of the latter: the host's /proc at /host/proc
// with the host's root at /host.
int CheckProcfs(int root, const MountStep& step, int target) {
  constexpr uint64_t kProcRootInode = 1;  // PROC_ROOT_INO of the kernel
  struct statfs fs;
  if (fstatfs(target, &fs) != 0) return errno;
  if (fs.f_type != PROC_SUPER_MAGIC || step.may_cover_proc) return 0;
  const int own = OpenInside(root, "/proc", O_PATH, RESOLVE_NO_SYMLINKS);
  if (own < 0) return EPERM;
  uint64_t inode = 0;
  uint64_t own_inode = 0;
  const uint64_t own_mount = MountId(own, &own_inode);
  const uint64_t mount = MountId(target, &inode);
  close(own);
  const bool another = own_mount != 0 && mount != own_mount;
  return inode == kProcRootInode && another ? 0 : EPERM;
}

// Moves `mount_fd` to the target and sets what the step asks for.
int AttachAt(int root, const MountStep& step, int mount_fd, bool no_links) {
  int target;
  int error = OpenTarget(
      root, step.target,
      {.create = true, .is_file = step.target_is_file, .no_links = no_links},
      &target);
  if (error != 0) return error;
  error = CheckProcfs(root, step, target);
  if (error == 0) error = MoveTo(mount_fd, target);
  // The kernel says EINVAL for "one is a directory, the other is not" as well.
  if (error == EINVAL && IsDirectory(target) != IsDirectory(mount_fd)) {
    error = IsDirectory(target) ? EISDIR : ENOTDIR;
  }
  close(target);
  return error;
}

int Attach(int root, const MountStep& step) {
  const int error = AttachAt(root, step, step.fd, false);
  if (error != 0) return error;
  return SetAttributes(step.fd, step.attributes, step.propagation);
}

// ENOTSUP: there are no labels, or (in a user namespace) not on this.
int LabelRoot(int mount_fd, const char* label) {
  const int fd = openat(mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  int error = 0;
  if (fsetxattr(fd, "security.selinux", label, strlen(label) + 1, 0) != 0) {
    error = errno == ENOTSUP ? 0 : errno;
  }
  close(fd);
  return error;
}

// Our own file systems sit on real directories, never behind a link that the
// image brought (FS-2).
int MountNewFs(int root, const MountStep& step) {
  const bool given = step.fd >= 0;
  const int fd = given ? step.fd
                       : NewFs(step.fs_type, step.options, step.option_count,
                               step.attributes);
  if (fd < 0) return errno;
  int error = AttachAt(root, step, fd, true);
  if (error == 0) error = SetAttributes(fd, 0, step.propagation);
  if (error == 0 && step.root_label != nullptr) {
    error = LabelRoot(fd, step.root_label);
  }
  if (!given) close(fd);
  return error;
}

bool SameNode(int directory, const char* name, const MountStep& step) {
  struct stat st;
  return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
         (st.st_mode & S_IFMT) == (step.mode & S_IFMT) &&
         st.st_rdev == step.device;
}

int MakeDevice(int root, const MountStep& step) {
  if (step.fd >= 0) return AttachAt(root, step, step.fd, true);
  int directory;
  const char* name;
  int error = OpenParent(root, step.target, true, &directory, &name);
  if (error != 0) return error;
  if (mknodat(directory, name, step.mode, step.device) != 0) {
    error = errno;
    if (error == EEXIST && SameNode(directory, name, step)) error = 0;
  }
  close(directory);
  return error;
}

int MakeSymlink(int root, const MountStep& step) {
  int directory;
  const char* name;
  int error = OpenParent(root, step.target, true, &directory, &name);
  if (error != 0) return error;
  if (symlinkat(step.source, directory, name) != 0) {
    error = errno;
    char text[PATH_MAX];
    const ssize_t n = readlinkat(directory, name, text, sizeof(text));
    const size_t length = strlen(step.source);
    if (error == EEXIST && n == static_cast<ssize_t>(length) &&
        memcmp(text, step.source, length) == 0) {
      error = 0;
    }
  }
  close(directory);
  return error;
}

// A file is covered by the agent's own null device (FS-4), a directory by one
// empty read-only tmpfs that all masked directories share.
int CoverWith(Context* c, const MountStep& step, int target, bool directory) {
  int& tree = directory ? c->empty_dir : c->null_tree;
  if (tree < 0 && !directory) return EBADF;
  if (tree < 0) {
    FsOption options[] = {
        {"mode", "0555"}, {"size", "0"}, {"nr_inodes", "1"}, {}};
    if (step.option_count == 1) options[3] = step.options[0];
    tree = NewFs("tmpfs", options, 3 + step.option_count,
                 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                     MOUNT_ATTR_NOEXEC);
    return tree < 0 ? errno : MoveTo(tree, target);
  }
  if (!directory && !c->null_attached) {
    c->null_attached = true;
    return MoveTo(tree, target);
  }
  const int copy = CloneTree(tree, 0);
  if (copy < 0) return errno;
  const int error = MoveTo(copy, target);
  close(copy);
  return error;
}

int Mask(Context* c, const MountStep& step) {
  int target;
  int error = OpenTarget(c->plan.rootfs_fd, step.target, {}, &target);
  if (error == ENOENT || error == ENOTDIR) return 0;
  if (error != 0) return error;
  struct stat st;
  error = fstat(target, &st) == 0
              ? CoverWith(c, step, target, S_ISDIR(st.st_mode))
              : errno;
  close(target);
  return error;
}

int MakeReadonly(int root, const MountStep& step) {
  int target;
  int error = OpenTarget(root, step.target, {}, &target);
  if (error == ENOENT || error == ENOTDIR) return 0;
  if (error != 0) return error;
  const int copy = CloneTree(target, AT_RECURSIVE);
  if (copy < 0) {
    error = errno;
  } else {
    mount_attr attr = {};
    attr.attr_set = MOUNT_ATTR_RDONLY;
    error =
        mount_setattr(copy, "", kEmpty | AT_RECURSIVE, &attr, sizeof(attr)) == 0
            ? MoveTo(copy, target)
            : errno;
    close(copy);
  }
  close(target);
  return error;
}

// Mounts of the host and of the container see each other from here on. Not
// earlier: a mount of ours below one, or a mask, would show up on the host.
int JoinPeers(Context* c) {
  for (size_t i = 0; i < c->plan.mount_count; ++i) {
    const MountStep& step = c->plan.mounts[i];
    if (step.peer_fd < 0) continue;
    c->detail = step.what;
    if (move_mount(step.peer_fd, "", step.fd, "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH |
                       MOVE_MOUNT_SET_GROUP) != 0) {
      return errno;
    }
  }
  return 0;
}

int RunMountStep(Context* c, const MountStep& step) {
  const int root = c->plan.rootfs_fd;
  switch (step.kind) {
    case MountStep::kAttach:
      return Attach(root, step);
    case MountStep::kNewFs:
      return MountNewFs(root, step);
    case MountStep::kDevice:
      return MakeDevice(root, step);
    case MountStep::kSymlink:
      return MakeSymlink(root, step);
    case MountStep::kMask:
      return Mask(c, step);
    case MountStep::kReadonly:
      return MakeReadonly(root, step);
  }
  return EINVAL;
}

}  // namespace

// Nothing that happens here reaches another namespace; then the rootfs, until
// now in no namespace at all, covers the root of the template.
int AttachRootfs(Context* c) {
  const int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return errno;
  int error = SetAttributes(root, 0, MS_PRIVATE);
  if (error == 0) error = MoveTo(c->plan.rootfs_fd, root);
  close(root);
  return error;
}

int BuildMounts(Context* c) {
  umask(0);
  for (size_t i = 0; i < c->plan.mount_count; ++i) {
    const MountStep& step = c->plan.mounts[i];
    c->detail = step.what;
    const int error = RunMountStep(c, step);
    if (error != 0) return error;
  }
  umask(022);
  return JoinPeers(c);
}

// pivot_root(2), "pivot_root(".", ".")": the old root ends up on top of the
// new one and is taken off.
int PivotRoot(Context* c) {
  if (fchdir(c->plan.rootfs_fd) != 0) return errno;
  if (syscall(SYS_pivot_root, ".", ".") != 0) return errno;
  c->detail = "old root";
  if (umount2(".", MNT_DETACH) != 0) return errno;
  return chdir("/") == 0 ? 0 : errno;
}

// Nothing is made in the root mount itself any more.
int SealRootfs(Context* c) {
  const uint64_t set = c->plan.readonly_rootfs ? MOUNT_ATTR_RDONLY : 0;
  return SetAttributes(c->plan.rootfs_fd, set, 0);
}

// Of the root mount alone. After the lock: in a copy for another user namespace
// what was shared is a slave.
int ShareRootfs(Context* c) {
  const uint64_t propagation = c->plan.rootfs_propagation;
  if (propagation == 0 || propagation == MS_PRIVATE) return 0;
  mount_attr attr = {};
  attr.propagation = propagation;
  return mount_setattr(AT_FDCWD, "/", 0, &attr, sizeof(attr)) == 0 ? 0 : errno;
}

}  // namespace warren::init
