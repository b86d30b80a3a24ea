#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/init/context.h"
#include "runtime/init/init.h"
#include "runtime/init/report.h"

namespace warren::init {
namespace {

// The order is the design: what needs the host's rights comes before the user
// namespace, every mount before the pivot, the pivot before the lock (a locked
// root cannot be moved), the terminal in the mount namespace of the program,
// the identity after everything that needs root, then the filter, and last the
// fork into a pid namespace with others in it: they see what has no more than
// the program itself (EXE-2).
constexpr Step kSteps[] = {
    // name             container exec
    {"dumpable", true, true, HideFromTracers},
    {"keyring", true, true, NewKeyring},
    {"oom_score_adj", true, true, SetOomScore},
    {"cgroup", true, true, EnterCgroup},
    {"template", true, false, EnterTemplate},
    {"join_user", true, false, JoinUserNamespace},
    {"join_target", false, true, JoinTarget},
    {"join_pid", true, false, JoinPidNamespace},
    {"clone", true, false, ForkFirst},
    {"tether", true, true, DieWithShim},
    {"join", true, false, JoinNamespaces},
    {"unshare", true, false, UnshareNamespaces},
    {"rootfs", true, false, AttachRootfs},
    {"mount", true, false, BuildMounts},
    {"pivot_root", true, false, PivotRoot},
    {"cwd", true, true, EnterWorkingDir},
    {"seal_rootfs", true, false, SealRootfs},
    {"lock_mounts", true, false, LockMounts},
    {"share_rootfs", true, false, ShareRootfs},
    {"stdio", true, true, OpenStdio},
    {"rlimits", true, true, SetLimits},
    {"labels", true, true, SetSecurityLabels},
    {"bounding", true, true, DropBounding},
    {"identity", true, true, SetIds},
    {"capabilities", true, true, SetCapabilities},
    {"place_stdio", true, true, PlaceStdio},
    {"no_new_privs", true, true, SetNoNewPrivs},
    {"session", true, true, NewSession},
    {"close_fds", true, true, CloseDescriptors},
    {"ready", true, true, LetGo},
    {"seccomp", true, true, LoadSeccomp},
    {"enter", true, true, ForkLast},
    {"execve", true, true, Execute},
};

}  // namespace

const Step* Steps(size_t* count) {
  *count = sizeof(kSteps) / sizeof(kSteps[0]);
  return kSteps;
}

void RunInit(const Plan& plan) {
  Context context = {.plan = plan, .report_fd = plan.report_fd};
  for (const Step& step : kSteps) {
    if (!(plan.container ? step.container : step.exec)) continue;
    context.detail = "";
    const int error = step.run(&context);
    if (error == 0) continue;
    Report report = {};
    report.kind = ReportKind::kFailed;
    report.error = error;
    CopyText(report.step, sizeof(report.step), step.name);
    CopyText(report.detail, sizeof(report.detail), context.detail);
    if (plan.last_words != nullptr) *plan.last_words = report;
    if (context.report_fd >= 0) {
      SendReport(context.report_fd, report, nullptr, 0);
    }
    _exit(127);
  }
  _exit(127);  // not reached: execve does not return without an error
}

}  // namespace warren::init
