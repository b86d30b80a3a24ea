#include <absl/strings/str_cat.h>

#include <utility>

#include "agent/cri/validate.h"
#include "agent/pods/container_manager.h"
#include "agent/pods/exec_sync.h"
#include "agent/store/lifecycle.h"
#include "runtime/base/status.h"

// Work inside a running container. ExecSync does not take the container's
// turn: a probe may take long, and stopping must not wait for it.
namespace warren::agent {
namespace {

// stdout and stderr together, so that the whole reply stays below the
// client's 16 MiB (STR-3).
constexpr size_t kMaxOutput = (16 << 20) - 1024;

// Counts a session while it lives; removal waits for the last.
class Session {
 public:
  explicit Session(ContainerPtr container) : container_(std::move(container)) {
    ++container_->exec_sessions;
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    --container_->exec_sessions;
    container_->Wake();
  }

 private:
  const ContainerPtr container_;
};

absl::Status CheckRunning(const Container& container) {
  const auto state = container.Get();
  if (state->record.phase() == record::RUNNING) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the container is not running, it is ",
                   cri::ContainerState_Name(PublicState(state->record))));
}

absl::Status CheckCommand(const cri::ExecSyncRequest& request) {
  if (request.cmd_size() == 0 || request.cmd(0).empty()) {
    return Invalid("cmd", "is required");
  }
  for (const std::string& arg : request.cmd()) {
    if (arg.find('\0') != std::string::npos) {
      return Invalid("cmd", "an argument holds a NUL byte");
    }
  }
  if (request.timeout() < 0) return Invalid("timeout", "is negative");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<cri::ExecSyncResponse> ContainerManager::ExecSync(
    const cri::ExecSyncRequest& request, const CallContext& call) {
  RETURN_IF_ERROR(CheckCommand(request));
  ASSIGN_OR_RETURN(const ContainerPtr container,
                   store_->FindContainer(request.container_id()));
  const Session session(container);
  RETURN_IF_ERROR(CheckRunning(*container));
  ExecSyncCommand command;
  command.args = {request.cmd().begin(), request.cmd().end()};
  if (request.timeout() > 0) command.timeout = absl::Seconds(request.timeout());
  command.output_limit_bytes = kMaxOutput;
  const auto given_up = [&] {
    return !call.deadline.Check().ok() || !CheckRunning(*container).ok();
  };
  auto result = RunExecSync(runtime_, container->id(), command, &output_budget_,
                            base::Deadline::Never().CancelledBy(given_up));
  if (absl::IsCancelled(result.status())) {
    // Either the caller has gone, or the container, whose exit may not be on
    // record yet.
    RETURN_IF_ERROR(call.deadline.Check());
    return absl::FailedPreconditionError(
        "the container ended while the command ran");
  }
  RETURN_IF_ERROR(result.status());
  cri::ExecSyncResponse response;
  response.set_stdout(std::move(result->stdout_data));
  response.set_stderr(std::move(result->stderr_data));
  response.set_exit_code(result->exit_code);
  return response;
}

absl::Status ContainerManager::ReopenLog(const std::string& id,
                                         const CallContext& call) {
  ASSIGN_OR_RETURN(const ContainerPtr container, store_->FindContainer(id));
  RETURN_IF_ERROR(CheckRunning(*container));
  return base::Annotate(runtime_->ReopenLog(container->id(), call.deadline),
                        "reopen the container's log");
}

}  // namespace warren::agent
