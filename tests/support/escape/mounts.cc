// Mounts, roots and namespaces.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "tests/support/escape/attempts.h"

namespace warren::escape {
namespace {

constexpr char kPlace[] = "/escape-place";

int Mount(const char* type) {
  return Refusal(mount("none", kPlace, type, 0, nullptr));
}
int MountTmpfs(const Target&) { return Mount("tmpfs"); }
int MountProc(const Target&) { return Mount("proc"); }
int MountDebugfs(const Target&) { return Mount("debugfs"); }
int MountTracefs(const Target&) { return Mount("tracefs"); }
int MountSecurityfs(const Target&) { return Mount("securityfs"); }
int MountBinfmt(const Target&) { return Mount("binfmt_misc"); }
int MountDevtmpfs(const Target&) { return Mount("devtmpfs"); }
int MountCgroup(const Target&) {
  return Refusal(mount("none", kPlace, "cgroup", 0, "memory"));
}
int MountBind(const Target&) {
  return Refusal(mount("/etc", kPlace, nullptr, MS_BIND, nullptr));
}
int Remount(const Target&) {
  return Refusal(
      mount(nullptr, "/proc/sys", nullptr, MS_REMOUNT | MS_BIND, nullptr));
}
int Umount(const Target&) { return Refusal(umount2("/proc/sys", MNT_DETACH)); }
// What lies below the read-only and the masked places; an earlier attempt may
// have uncovered it.
int Uncover(const char* path) {
  const int error = Refusal(umount2(path, MNT_DETACH));
  return error == EINVAL ? 0 : error;
}
int UnmaskedSysctl(const Target&) {
  if (const int error = Uncover("/proc/sys"); error != 0) return error;
  return TryWrite("/proc/sys/kernel/panic", "77\n");
}
int UnmaskedTimers(const Target&) {
  if (const int error = Uncover("/proc/timer_list"); error != 0) return error;
  return TryRead("/proc/timer_list");
}
int WritableCgroup(const Target&) {
  if (const int error = Uncover("/sys/fs/cgroup"); error != 0) return error;
  if (mount("none", "/sys/fs/cgroup", "cgroup", 0, "devices") == 0) {
    return TryWrite("/sys/fs/cgroup/devices.allow", "a\n");
  }
  // cgroup v2: a user namespace may mount it, but the files are the node's.
  if (mount("none", "/sys/fs/cgroup", "cgroup2", 0, nullptr) != 0) {
    return errno;
  }
  if (mkdir("/sys/fs/cgroup/made", 0755) == 0 ||
      TryWrite("/sys/fs/cgroup/cgroup.max.depth", "9\n") == 0) {
    return 0;
  }
  return TryWrite("/sys/fs/cgroup/cgroup.procs", "0\n");
}
int PivotRoot(const Target&) {
  return Refusal(syscall(SYS_pivot_root, ".", "."));
}
int OpenTree(const Target&) {
  return Refusal(syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE));
}
int Fsopen(const Target&) { return Refusal(syscall(SYS_fsopen, "tmpfs", 0)); }
int Fspick(const Target&) {
  return Refusal(syscall(SYS_fspick, AT_FDCWD, "/", 0));
}
int MoveMount(const Target&) {
  return Refusal(
      syscall(SYS_move_mount, AT_FDCWD, "/proc/sys", AT_FDCWD, kPlace, 0));
}
int MountSetattr(const Target&) {
  mount_attr attr = {};
  attr.attr_clr = MOUNT_ATTR_RDONLY;
  return Refusal(syscall(SYS_mount_setattr, AT_FDCWD, "/proc/sys", 0, &attr,
                         sizeof(attr)));
}

int UnshareMount(const Target&) { return Refusal(unshare(CLONE_NEWNS)); }
int UnshareUser(const Target&) { return Refusal(unshare(CLONE_NEWUSER)); }
int CloneUser(const Target&) {
  const long child =
      syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, 0);
  if (child == 0) _exit(0);
  return Refusal(child);
}
int Clone3User(const Target&) {
  uint64_t args[8] = {CLONE_NEWUSER};  // flags; no signal at its end
  const long child = syscall(SYS_clone3, args, sizeof(args));
  if (child == 0) _exit(0);
  return Refusal(child);
}

// /proc/1 is the container's own first process, or with the host's processes
// in sight, the node's.
int SetnsOfOne(const char* kind, int flag) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/1/ns/%s", kind);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  return fd < 0 ? errno : Refusal(setns(fd, flag));
}
int SetnsMount(const Target&) { return SetnsOfOne("mnt", CLONE_NEWNS); }
int SetnsUser(const Target&) { return SetnsOfOne("user", CLONE_NEWUSER); }
int SetnsNet(const Target&) { return SetnsOfOne("net", CLONE_NEWNET); }
int SetnsOfNode(const Target& target) {
  const long fd = syscall(SYS_pidfd_open, target.pid, 0);
  return fd < 0 ? errno : Refusal(setns(static_cast<int>(fd), CLONE_NEWNS));
}

// The node's file below each root that a process of the container has.
int ProcRootWalk(const Target& target) {
  int error = ENOENT;
  for (const char* root : {"/proc/1/root", "/proc/self/root", "/proc/1/cwd",
                           "/proc/self/cwd/../../../../../../..",
                           "/proc/self/task/../root/../../.."}) {
    char path[1024];
    snprintf(path, sizeof(path), "%s%s", root, target.secret);
    error = TryRead(path);
    if (error == 0) return 0;
  }
  return error;
}
int PathOfNode(const Target& target) { return TryRead(target.secret); }

// A directory held open from before a chroot leads back to the real root.
int ChrootBreakout(const Target& target) {
  mkdir("/tmp/jail", 0755);
  const int out = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // lint: allow path: it is what a container would try
  if (chroot("/tmp/jail") != 0) return errno;
  if (fchdir(out) != 0) return errno;
  for (int i = 0; i < 64; ++i) {
    if (chdir("..") != 0) return errno;
  }
  // lint: allow path: likewise
  if (chroot(".") != 0) return errno;
  return TryRead(target.secret);
}

// "Shocker": inode 2 is the root of an ext4 or xfs behind any mount.
int OpenByHandle(const Target& target) {
  struct {
    file_handle head;
    uint32_t id[2];
  } handle = {};
  handle.head.handle_bytes = sizeof(handle.id);
  handle.head.handle_type = 1;  // FILEID_INO32_GEN
  handle.id[0] = 2;
  int error = ENOENT;
  for (const char* mount :
       {"/", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/shm",
        "/dev", "/dev/null"}) {
    const int at = open(mount, O_RDONLY | O_CLOEXEC);
    if (at < 0) continue;
    const int root = open_by_handle_at(at, &handle.head, O_RDONLY);
    if (root < 0) {
      error = errno;
      continue;
    }
    // Something was opened: is it the node's tree?
    const int fd = openat(root, target.secret + 1, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) return 0;
    error = errno;
  }
  return error;
}

constexpr Attempt kAttempts[] = {
    {"mount-tmpfs", MountTmpfs},
    {"mount-proc", MountProc},
    {"mount-debugfs", MountDebugfs},
    {"mount-tracefs", MountTracefs},
    {"mount-securityfs", MountSecurityfs},
    {"mount-binfmt-misc", MountBinfmt},
    {"mount-devtmpfs", MountDevtmpfs},
    {"mount-cgroup", MountCgroup},
    {"mount-bind", MountBind},
    {"remount", Remount},
    {"umount", Umount},
    {"unmasked-sysctl", UnmaskedSysctl},
    {"unmasked-timer-list", UnmaskedTimers},
    {"writable-cgroup", WritableCgroup},
    {"pivot-root", PivotRoot},
    {"open-tree", OpenTree},
    {"fsopen", Fsopen},
    {"fspick", Fspick},
    {"move-mount", MoveMount},
    {"mount-setattr", MountSetattr},
    {"unshare-mount", UnshareMount},
    {"unshare-user", UnshareUser},
    {"clone-user", CloneUser},
    {"clone3-user", Clone3User},
    {"setns-mount", SetnsMount},
    {"setns-user", SetnsUser},
    {"setns-net", SetnsNet},
    {"setns-of-node", SetnsOfNode},
    {"proc-root-walk", ProcRootWalk},
    {"path-of-node", PathOfNode},
    {"chroot-breakout", ChrootBreakout},
    {"open-by-handle", OpenByHandle},
};

}  // namespace

std::span<const Attempt> MountAttempts() {
  mkdir(kPlace, 0755);
  return kAttempts;
}

}  // namespace warren::escape
