#include "runtime/init/mount_lock.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/init/context.h"
#include "runtime/init/report.h"

namespace warren::init {
namespace {

// The caller's. The procfs may be of another pid namespace that it is in.
int OpenMountNamespace(int proc_fd) {
  return openat(proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
}

// A copy of `mounts` (a mount namespace) in which all of it is locked, to
// `*copy`. Descriptors that keep the other two namespaces stay open: their end
// waits for RCU, which the init must not wait for.
int CopyLocked(const MountLockPlan& plan, int mounts, int* copy) {
  if (setns(mounts, CLONE_NEWNS) != 0) return errno;
  if (unshare(CLONE_NEWNS) != 0) return errno;
  if (OpenMountNamespace(plan.proc_fd) < 0) return errno;
  if (setns(plan.user_fd, CLONE_NEWUSER) != 0) return errno;
  // It changes credentials, which may make a process dumpable
  // (fs.suid_dumpable).
  const int hidden = HideFromTracers(nullptr);
  if (hidden != 0) return hidden;
  if (unshare(CLONE_NEWNS) != 0) return errno;
  *copy = OpenMountNamespace(plan.proc_fd);
  return *copy >= 0 ? 0 : errno;
}

}  // namespace

void RunMountLock(const MountLockPlan& plan) {
  Report report = {};
  int fds[kStdioFdsMax];
  if (HideFromTracers(nullptr) != 0 || DieWithShim(nullptr) != 0 ||
      ReceiveReport(plan.socket, &report, fds) <= 0) {
    _exit(127);
  }
  int copy = -1;
  Report answer = {};
  answer.error = report.kind == ReportKind::kMounts
                     ? CopyLocked(plan, fds[0], &copy)
                     : EBADMSG;
  answer.kind = answer.error == 0 ? ReportKind::kMounts : ReportKind::kFailed;
  SendReport(plan.socket, answer, &copy, answer.error == 0 ? 1 : 0);
  _exit(0);
}

// To enter a mount namespace leads to its root; the working directory, which is
// there by now, is found anew.
int LockMounts(Context* c) {
  if (c->plan.user_fd < 0) return 0;
  const int socket = c->plan.mount_lock_fd;
  c->detail = "copy of the mount namespace";
  const int mounts = OpenMountNamespace(c->plan.proc_fd);
  if (mounts < 0) return errno;
  Report report = {};
  report.kind = ReportKind::kMounts;
  const int error = SendReport(socket, report, &mounts, 1);
  close(mounts);
  if (error != 0) return error;
  int fds[kStdioFdsMax];
  const int got = ReceiveReport(socket, &report, fds);
  if (got < 0) return errno;
  if (got == 0) return ECHILD;
  if (report.kind != ReportKind::kMounts) {
    return report.error != 0 ? report.error : EBADMSG;
  }
  if (setns(fds[0], CLONE_NEWNS) != 0) return errno;
  close(fds[0]);
  return EnterWorkingDir(c);
}

}  // namespace warren::init
