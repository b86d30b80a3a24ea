#include "runtime/machine/exec_sessions.h"

#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "runtime/base/adopted.h"
#include "runtime/base/status.h"
#include "runtime/identity/id_map.h"
#include "runtime/launch/request.h"
#include "runtime/namespaces/table.h"

namespace warren::runtime {
namespace {

static_assert(ExecSession::kEndPatience == ExecProcess::kEndPatience);

// An ExecProcess by the shim that looks after it.
class ShimExecProcess : public ExecProcess {
 public:
  ShimExecProcess(ExecSession session, bool has_terminal)
      : session_(std::move(session)), has_terminal_(has_terminal) {}

  base::ProcessId process() const override {
    return session_.launched().process;
  }
  base::UniqueFd TakeTerminal() override { return session_.TakeTerminal(); }
  int event_fd() const override { return session_.event_fd(); }

  absl::StatusOr<ExecExit> Wait(const base::Deadline& deadline) override {
    ASSIGN_OR_RETURN(const shim::v1::Exited exited, session_.Wait(deadline));
    return ExecExit{exited.exit_code(), exited.signal(),
                    exited.finished_at_ns()};
  }
  absl::Status Signal(int signal) override { return session_.Signal(signal); }
  absl::Status Resize(TerminalSize size) override {
    if (!has_terminal_) {
      return absl::FailedPreconditionError("the session has no terminal");
    }
    return session_.Resize(size.rows, size.columns);
  }
  absl::Status Kill() override { return session_.Kill(); }

 private:
  ExecSession session_;
  const bool has_terminal_;
};

// What a session takes from its container, under the container's mutex.
struct Target {
  std::shared_ptr<base::UniqueFd> pidfd;  // of the first process
  pid_t first = 0;
  User user;
  seccomp::ProgramPtr filter;
};

absl::StatusOr<Target> TargetOf(const LiveContainerPtr& container) {
  Target target;
  const base::MutexLock lock(&container->mutex);
  if (container->running) target.pidfd = container->pidfd;
  target.first = container->process.pid;
  target.user = container->user;
  ASSIGN_OR_RETURN(target.filter, container->filter);
  if (target.pidfd == nullptr) {
    return absl::FailedPreconditionError("the container is not running");
  }
  return target;
}

// A program may open its own pipes again (/dev/stderr), whoever it runs as.
// Here, as a program cannot give anything away from within a user namespace.
absl::Status GivePipeTo(const User& user, const SandboxSpec& sandbox,
                        const base::UniqueFd& fd) {
  struct stat st;
  if (!fd.valid()) return absl::OkStatus();
  if (fstat(fd.get(), &st) != 0) {
    return base::ErrnoError(errno, "look at the program's pipe");
  }
  if (!S_ISFIFO(st.st_mode)) return absl::OkStatus();
  const auto uid = ToHostId(sandbox.uid_mappings, user.uid);
  const auto gid = ToHostId(sandbox.gid_mappings, user.gid);
  if (!uid.has_value() || !gid.has_value()) return absl::OkStatus();
  if (fchown(fd.get(), *uid, *gid) == 0) return absl::OkStatus();
  return base::ErrnoError(errno, "chown the program's pipe");
}

}  // namespace

absl::StatusOr<std::unique_ptr<ExecProcess>> ExecSessions::Start(
    const std::string& container_id, ExecSpec spec,
    const base::Deadline& deadline) {
  if (spec.args.empty() || spec.args[0].empty()) {
    return absl::InvalidArgumentError("cmd: there is none");
  }
  // What earlier sessions left in the background, and has ended since.
  base::ReapAdopted();
  ASSIGN_OR_RETURN(const LiveContainerPtr container,
                   parts_.containers.Find(container_id));
  ASSIGN_OR_RETURN(const Target target, TargetOf(container));
  for (const base::UniqueFd* fd :
       {&spec.stdin_fd, &spec.stdout_fd, &spec.stderr_fd}) {
    RETURN_IF_ERROR(GivePipeTo(target.user, container->spec.sandbox, *fd));
  }
  ExecLaunchParts launch;
  launch.spec = &container->spec;
  launch.user = &target.user;
  launch.privileges = &parts_.privileges;
  launch.filter = target.filter.get();
  launch.args = &spec.args;
  launch.target_pidfd = target.pidfd->get();
  launch.setns_flags = ExecSetnsFlags(container->spec, parts_.time_namespaces);
  ASSIGN_OR_RETURN(
      const CgroupLeaf cgroup,
      parts_.cgroups->JoiningLeaf(container->spec.cgroup, target.first));
  ASSIGN_OR_RETURN(launch.placement, parts_.cgroups->OpenPlacement(cgroup));
  ASSIGN_OR_RETURN(launch.procs, parts_.cgroups->OpenProcsFile(cgroup));
  launch.null_fd = parts_.mount_namespaces->null();
  launch.stdin_fd = std::move(spec.stdin_fd);
  launch.stdout_fd = std::move(spec.stdout_fd);
  launch.stderr_fd = std::move(spec.stderr_fd);
  launch.terminal = spec.terminal;
  // The request owns the program's descriptors and closes them on return.
  const LaunchRequest request = BuildExecLaunch(std::move(launch));
  ASSIGN_OR_RETURN(
      ExecSession session,
      parts_.launcher.LaunchExec(request.message, request.fds(), deadline));
  return std::make_unique<ShimExecProcess>(std::move(session),
                                           spec.terminal.has_value());
}

}  // namespace warren::runtime
