#include <absl/strings/str_cat.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "agent/caller/steps.h"
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
    // Not at every one: each change wakes all sessions that are left.
    if (--container_->exec_sessions == 0) container_->Wake();
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

// Ends as well when the container does, or the caller goes.
class ExecSyncCall final : public Steps {
 public:
  using Begin = std::function<absl::StatusOr<std::unique_ptr<ExecSyncRun>>(
      const std::string& container_id, ExecSyncCommand command,
      base::Deadline caller)>;

  // `request` and `response` are borrowed.
  ExecSyncCall(ContainerPtr container, const cri::ExecSyncRequest& request,
               const CallContext& call, cri::ExecSyncResponse* response,
               Begin begin)
      : container_(container),
        call_(call),
        request_(request),
        response_(*response),
        begin_(std::move(begin)),
        session_(std::move(container)) {}

  absl::StatusOr<std::optional<Pause>> Next() override {
    const uint64_t seen = container_->version();
    // Also while what the program left holds its pipes.
    if (run_ != nullptr && run_->exited()) {
      RETURN_IF_ERROR(call_.deadline.Check());
    }
    auto pause = NextOfRun();
    if (absl::IsCancelled(pause.status())) {
      // Either the caller has gone, or the container, whose exit may not be on
      // record yet.
      RETURN_IF_ERROR(call_.deadline.Check());
      return absl::FailedPreconditionError(
          "the container ended while the command ran");
    }
    if (!pause.ok()) return pause;
    if (!pause->has_value()) {
      ExecSyncResult result = run_->TakeResult();
      response_.set_stdout(std::move(result.stdout_data));
      response_.set_stderr(std::move(result.stderr_data));
      response_.set_exit_code(result.exit_code);
      return pause;
    }
    (*pause)->until_ns =
        std::min((*pause)->until_ns, call_.deadline.monotonic_ns());
    (*pause)->watch = ChangesOf(*container_, seen);
    return pause;
  }

 private:
  absl::StatusOr<std::optional<Pause>> NextOfRun() {
    if (run_ == nullptr) {
      RETURN_IF_ERROR(CheckRunning(*container_));
      ExecSyncCommand command;
      command.args = {request_.cmd().begin(), request_.cmd().end()};
      if (request_.timeout() > 0) {
        command.timeout = absl::Seconds(request_.timeout());
      }
      command.output_limit_bytes = kMaxOutput;
      const auto given_up = [this] {
        return !call_.deadline.Check().ok() || !CheckRunning(*container_).ok();
      };
      ASSIGN_OR_RETURN(run_,
                       begin_(container_->id(), std::move(command),
                              base::Deadline::Never().CancelledBy(given_up)));
    }
    return run_->Next();
  }

  const ContainerPtr container_;
  const CallContext call_;
  const cri::ExecSyncRequest& request_;
  cri::ExecSyncResponse& response_;
  const Begin begin_;
  const Session session_;
  std::unique_ptr<ExecSyncRun> run_;  // destroyed before the session ends
};

}  // namespace

std::unique_ptr<Steps> ContainerManager::BeginExecSync(
    const cri::ExecSyncRequest& request, const CallContext& call,
    cri::ExecSyncResponse* response) {
  if (absl::Status bad = CheckCommand(request); !bad.ok()) {
    return std::make_unique<Refusal>(std::move(bad));
  }
  auto container = store_->FindContainer(request.container_id());
  if (!container.ok()) return std::make_unique<Refusal>(container.status());
  return std::make_unique<ExecSyncCall>(
      *std::move(container), request, call, response,
      [this](const std::string& container_id, ExecSyncCommand command,
             base::Deadline caller) {
        return ExecSyncRun::Start(runtime_, container_id, std::move(command),
                                  &output_budget_, std::move(caller));
      });
}

absl::StatusOr<cri::ExecSyncResponse> ContainerManager::ExecSync(
    const cri::ExecSyncRequest& request, const CallContext& call) {
  cri::ExecSyncResponse response;
  const std::unique_ptr<Steps> steps = BeginExecSync(request, call, &response);
  RETURN_IF_ERROR(RunSteps(steps.get(), call.deadline));
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
