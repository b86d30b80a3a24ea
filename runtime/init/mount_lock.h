#ifndef WARREN_RUNTIME_INIT_MOUNT_LOCK_H_
#define WARREN_RUNTIME_INIT_MOUNT_LOCK_H_

namespace warren::init {

// Why: root of a pod's user namespace may undo every mount, mask and flag of a
// mount namespace that this user namespace owns. What such a namespace takes
// over from one of a more privileged owner is locked: it can neither be taken
// off nor moved, and read-only, nodev, nosuid and noexec cannot be cleared
// (mount_namespaces(7), "Restrictions on mount namespaces"). So the finished
// tree is copied into a mount namespace of the host, and that one into a mount
// namespace of the pod, where the program runs.
//
// It takes a process that has the host's rights still: the init gives them up
// before it mounts, so that file systems and namespaces belong to the pod. The
// shim clones this one for it. It stays in the shim's cgroup and in the host's
// pid namespace, where no container sees it.
//
//   init                                   lock maker
//     | [tree is built, root is in place]    |
//     | mounts + own mount namespace ------> | setns, unshare (the host's),
//     |                                      | setns user, unshare (the pod's)
//     | <------ mounts + the copy, or failed |
//     | [setns]                              | exits; takes the other copies
//     |                                      | along, which can wait for RCU
struct MountLockPlan {
  int socket;   // SEQPACKET; the other end is Plan::mount_lock_fd
  int user_fd;  // the pod's user namespace
  int proc_fd;  // Plan::proc_fd
};

// Waits for one request, without bound: end of file, or the death of the shim,
// ends the process. The caller has closed its copy of the other end.
[[noreturn]] void RunMountLock(const MountLockPlan& plan);

}  // namespace warren::init

#endif  // WARREN_RUNTIME_INIT_MOUNT_LOCK_H_
