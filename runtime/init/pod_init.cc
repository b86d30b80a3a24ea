#include "runtime/init/pod_init.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/init/report.h"

namespace warren::init {
namespace {

// In a user namespace the kernel permits it where another procfs is in full
// view, as in a copy of the template.
int GiveProcfs(int socket) {
  const int fs = fsopen("proc", FSOPEN_CLOEXEC);
  if (fs < 0) return errno;
  if (fsconfig(fs, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return errno;
  const int procfs =
      fsmount(fs, FSMOUNT_CLOEXEC,
              MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  if (procfs < 0) return errno;
  Report report = {};
  report.kind = ReportKind::kProcfs;
  const int error = SendReport(socket, report, &procfs, 1);
  close(procfs);
  close(fs);
  return error;
}

int EmptyRoot() {
  mount_attr attr = {};
  attr.propagation = MS_PRIVATE;
  if (mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attr, sizeof(attr)) != 0) {
    return errno;
  }
  const int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
  if (fs < 0) return errno;
  if (fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0555", 0) != 0 ||
      fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", "1", 0) != 0 ||
      fsconfig(fs, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return errno;
  }
  const int root = fsmount(fs, FSMOUNT_CLOEXEC,
                           MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                               MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  if (root < 0) return errno;
  if (move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0 ||
      fchdir(root) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 ||
      umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) {
    return errno;
  }
  return 0;
}

int DropCapabilities() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[2] = {};
  return syscall(SYS_capset, &header, none) == 0 ? 0 : errno;
}

}  // namespace

int BecomePodInit(int socket) {
  if (setsid() < 0) return errno;
  prctl(PR_SET_NAME, "pod-init", 0, 0, 0);
  if (unshare(CLONE_NEWNS) != 0) return errno;
  int error = GiveProcfs(socket);
  if (error == 0) error = EmptyRoot();
  if (error != 0) return error;
  if (socket > 0 && close_range(0, static_cast<unsigned>(socket) - 1, 0) != 0)
    return errno;
  if (close_range(static_cast<unsigned>(socket) + 1, ~0U, 0) != 0) return errno;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  error = DropCapabilities();
  if (error != 0) return error;
  return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : errno;
}

void ServeAsPodInit() {
  // With SIGCHLD ignored the kernel reaps every child, adopted ones too
  // (wait(2), NOTES): this process never wakes up. All else stays blocked.
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGCHLD, &ignore, nullptr);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  close_range(0, ~0U, 0);
  for (;;) pause();
}

}  // namespace warren::init
