#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <optional>
#include <utility>

#include "runtime/base/adopted.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "runtime/base/status.h"
#include "runtime/identity/id_map.h"
#include "runtime/launch/output_collector.h"
#include "runtime/machine/linux_runtime_impl.h"
#include "runtime/namespaces/table.h"

namespace warren::runtime {
namespace {

// How often a call that may be cancelled looks whether it is.
constexpr int64_t kCancelPollNs = 50'000'000;
// How long output is waited for after the program's end, when something that
// it left behind keeps the pipes open (STR-3 allows two seconds).
constexpr int64_t kDrainNs = 200'000'000;
constexpr absl::Duration kKillPatience = absl::Seconds(10);

int64_t Now() { return base::SystemClock().MonotonicNow(); }

int64_t Deadline(absl::Duration timeout) {
  if (timeout == absl::InfiniteDuration()) {
    return std::numeric_limits<int64_t>::max();
  }
  return Now() + absl::ToInt64Nanoseconds(timeout);
}

// Runs one session to its end. The program is dead whenever Run returns.
class Collection {
 public:
  Collection(ExecSession* session, OutputCollector* output,
             const ExecRequest& request, int64_t deadline)
      : session_(*session),
        output_(*output),
        request_(request),
        deadline_(deadline) {}

  absl::StatusOr<ExecResult> Run() {
    while (!Finished()) {
      if (!exited_.has_value()) RETURN_IF_ERROR(CheckLimits());
      Poll();
      RETURN_IF_ERROR(output_.ReadAvailable());
      if (!exited_.has_value()) RETURN_IF_ERROR(CheckExit());
    }
    return ExecResult{exited_->exit_code(), output_.TakeStdout(),
                      output_.TakeStderr()};
  }

 private:
  bool Finished() const {
    return exited_.has_value() && (output_.done() || Now() >= drained_);
  }

  absl::Status CheckLimits() {
    const bool late = Now() >= deadline_;
    const bool cancelled = request_.cancelled && request_.cancelled();
    if (!late && !cancelled) return absl::OkStatus();
    RETURN_IF_ERROR_IN(session_.Kill(), "kill the program");
    // After this, all that it forked is gone too.
    auto end = session_.Wait(kKillPatience);
    if (!end.ok()) return base::Annotate(end.status(), "kill the program");
    if (cancelled) return absl::CancelledError("the call was cancelled");
    return absl::DeadlineExceededError(absl::StrCat(
        "command timed out after ", absl::FormatDuration(request_.timeout)));
  }

  absl::Status CheckExit() {
    auto end = session_.Wait(absl::ZeroDuration());
    if (!end.ok()) {
      return absl::IsDeadlineExceeded(end.status()) ? absl::OkStatus()
                                                    : end.status();
    }
    exited_ = *std::move(end);
    drained_ = Now() + kDrainNs;
    // What the program wrote before it ended is in the pipes by now.
    return output_.ReadAvailable();
  }

  void Poll() const {
    std::vector<pollfd> polled;
    output_.AddTo(&polled);
    int64_t until = exited_.has_value() ? drained_ : deadline_;
    if (!exited_.has_value()) {
      polled.push_back({session_.event_fd(), POLLIN, 0});
      if (request_.cancelled) until = std::min(until, Now() + kCancelPollNs);
    }
    int wait = -1;
    if (until != std::numeric_limits<int64_t>::max()) {
      const int64_t left = std::max<int64_t>(until - Now(), 0);
      wait = static_cast<int>(
          std::min<int64_t>((left + 999'999) / 1'000'000, 1 << 30));
    }
    poll(polled.data(), polled.size(), wait);
  }

  ExecSession& session_;
  OutputCollector& output_;
  const ExecRequest& request_;
  const int64_t deadline_;
  std::optional<shim::v1::Exited> exited_;
  int64_t drained_ = 0;
};

// A program may open its own output again (/dev/stderr), whoever it runs as.
// Here, as a program cannot give anything away from within a user namespace.
absl::Status GiveTo(const User& user, const SandboxSpec& sandbox, int fd) {
  const auto uid = ToHostId(sandbox.uid_mappings, user.uid);
  const auto gid = ToHostId(sandbox.gid_mappings, user.gid);
  if (!uid.has_value() || !gid.has_value()) return absl::OkStatus();
  if (fchown(fd, *uid, *gid) == 0) return absl::OkStatus();
  return base::ErrnoError(errno, "chown the program's output");
}

}  // namespace

absl::StatusOr<ExecResult> LinuxRuntime::ExecSync(
    const std::string& container_id, const ExecRequest& request) {
  if (request.args.empty() || request.args[0].empty()) {
    return absl::InvalidArgumentError("cmd: there is none");
  }
  const int64_t deadline = Deadline(request.timeout);
  // What earlier sessions left in the background, and has ended since.
  base::ReapAdopted();
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(container_id));
  ExecLaunchParts parts;
  User user;
  seccomp::ProgramPtr filter;
  std::shared_ptr<base::UniqueFd> target;
  pid_t first = 0;
  {
    absl::MutexLock lock(&container->mutex);
    if (container->running) target = container->pidfd;
    first = container->process.pid;
    user = container->user;
    ASSIGN_OR_RETURN(filter, container->filter);
  }
  if (target == nullptr) {
    return absl::FailedPreconditionError("the container is not running");
  }
  ASSIGN_OR_RETURN(base::Pipe out, base::MakePipe());
  ASSIGN_OR_RETURN(base::Pipe err, base::MakePipe());
  for (const base::Pipe* pipe : {&out, &err}) {
    RETURN_IF_ERROR(GiveTo(user, container->spec.sandbox, pipe->write.get()));
  }
  ASSIGN_OR_RETURN(
      const std::unique_ptr<OutputCollector> output,
      OutputCollector::Make(std::move(out.read), std::move(err.read),
                            request.output_limit_bytes, &output_budget_));
  parts.spec = &container->spec;
  parts.user = &user;
  parts.privileges = &privileges_;
  parts.filter = filter.get();
  parts.args = &request.args;
  parts.target_pidfd = target->get();
  parts.setns_flags = ExecSetnsFlags(container->spec, time_namespaces_);
  ASSIGN_OR_RETURN(const std::string cgroup,
                   cgroups_->JoiningPath(container->cgroup, first));
  ASSIGN_OR_RETURN(parts.placement, cgroups_->OpenPlacement(cgroup));
  ASSIGN_OR_RETURN(parts.procs, cgroups_->OpenProcsFile(cgroup));
  parts.stdout_fd = std::move(out.write);
  parts.stderr_fd = std::move(err.write);
  auto session = [&]() -> absl::StatusOr<ExecSession> {
    // The write ends must be the program's alone when its end is waited for.
    const LaunchRequest launch = BuildExecLaunch(std::move(parts));
    return launcher_.LaunchExec(
        launch.message, launch.fds(),
        std::min(request.timeout, ShimLauncher::kLaunchTimeout));
  }();
  if (!session.ok()) return session.status();
  return Collection(&*session, output.get(), request, deadline).Run();
}

}  // namespace warren::runtime
