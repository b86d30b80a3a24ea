#include "runtime/init/sandbox_maker.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/init/context.h"
#include "runtime/init/init.h"
#include "runtime/init/pod_init.h"
#include "runtime/init/report.h"

namespace warren::init {
namespace {

// Returns 0 or errno. Who was not heard must end, or the shim waits for ever.
int Tell(int socket, ReportKind kind, const char* step, int error, int pid) {
  Report report = {};
  report.kind = kind;
  report.error = error;
  report.pid = pid;
  CopyText(report.step, sizeof(report.step), step);
  return SendReport(socket, report, nullptr, 0);
}

[[noreturn]] void Die(int socket, const char* step, int error) {
  Tell(socket, ReportKind::kFailed, step, error, 0);
  _exit(127);
}

void AwaitGo(int socket, const char* step) {
  if (Tell(socket, ReportKind::kReady, step, 0, 0) != 0) _exit(127);
  char go;
  ssize_t n;
  do {
    n = read(socket, &go, 1);
  } while (n < 0 && errno == EINTR);
  if (n != 1) _exit(127);
}

[[noreturn]] void RunPodInit(int socket) {
  const int error = BecomePodInit(socket);
  if (error != 0) Die(socket, "pod init", error);
  AwaitGo(socket, "pod init");
  ServeAsPodInit();
}

}  // namespace

void RunSandboxMaker(const MakerPlan& plan) {
  Plan cgroup = {};
  cgroup.cgroup_procs_fds = plan.cgroup_procs_fds;
  cgroup.cgroup_procs_count = plan.cgroup_procs_count;
  Context context = {.plan = cgroup, .report_fd = plan.socket};
  int error = EnterCgroup(&context);
  if (error != 0) Die(plan.socket, "cgroup", error);
  // The root of a user namespace has no rights over it.
  if (plan.template_mnt_fd >= 0 &&
      setns(plan.template_mnt_fd, CLONE_NEWNS) != 0) {
    Die(plan.socket, "template", errno);
  }

  if ((plan.flags & CLONE_NEWUSER) != 0) {
    if (unshare(CLONE_NEWUSER) != 0) Die(plan.socket, "user", errno);
    AwaitGo(plan.socket, "user");
    error = BecomeRoot();
    if (error != 0) Die(plan.socket, "user", error);
  }
  constexpr uint64_t kLater = CLONE_NEWUSER | CLONE_NEWPID;
  if (unshare(static_cast<int>(plan.flags & ~kLater)) != 0) {
    Die(plan.socket, "namespaces", errno);
  }
  AwaitGo(plan.socket, "namespaces");
  if (!plan.pod_init) _exit(0);
  const pid_t pid = CloneProcess(CLONE_NEWPID | CLONE_PARENT, -1);
  if (pid < 0) Die(plan.socket, "clone", errno);
  if (pid == 0) RunPodInit(plan.socket);
  if (Tell(plan.socket, ReportKind::kForked, "clone", 0, pid) != 0) {
    kill(pid, SIGKILL);
  }
  _exit(0);
}

}  // namespace warren::init
