#include "agent/pods/exec_sync.h"

#include <absl/strings/str_cat.h>
#include <poll.h>

#include <memory>
#include <optional>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

// How long output is waited for after the program's end, when something that
// it left behind keeps the pipes open (STR-3 allows two seconds).
constexpr absl::Duration kDrainPatience = absl::Milliseconds(200);

}  // namespace

ExecSyncRun::ExecSyncRun(ExecSyncCommand command, base::Deadline caller)
    : command_(std::move(command)),
      caller_(std::move(caller)),
      deadline_(caller_.Within(command_.timeout)) {}

ExecSyncRun::~ExecSyncRun() = default;

absl::StatusOr<std::unique_ptr<ExecSyncRun>> ExecSyncRun::Start(
    runtime::Runtime* runtime, const std::string& container_id,
    ExecSyncCommand command, OutputBudget* budget, base::Deadline caller) {
  std::unique_ptr<ExecSyncRun> run(
      new ExecSyncRun(std::move(command), std::move(caller)));
  ASSIGN_OR_RETURN(base::Pipe out, base::MakePipe());
  ASSIGN_OR_RETURN(base::Pipe err, base::MakePipe());
  ASSIGN_OR_RETURN(run->output_, OutputCollector::Make(
                                     std::move(out.read), std::move(err.read),
                                     run->command_.output_limit_bytes, budget));
  runtime::ExecSpec spec;
  spec.args = run->command_.args;
  spec.stdout_fd = std::move(out.write);
  spec.stderr_fd = std::move(err.write);
  auto process =
      runtime->StartExec(container_id, std::move(spec), run->deadline_);
  if (!process.ok()) return run->Explain(process.status());
  run->process_ = *std::move(process);
  return run;
}

absl::StatusOr<std::optional<Pause>> ExecSyncRun::Next() {
  if (const absl::Status status = Step(); !status.ok()) return Explain(status);
  if (Finished()) return std::nullopt;
  Pause pause;
  output_->AddTo(&pause.fds);
  if (!exit_.has_value()) {
    pause.fds.push_back({process_->event_fd(), POLLIN, 0});
  }
  pause.until_ns = (exit_.has_value() ? drained_ : deadline_).monotonic_ns();
  return pause;
}

ExecSyncResult ExecSyncRun::TakeResult() {
  return {exit_->exit_code, output_->TakeStdout(), output_->TakeStderr()};
}

absl::Status ExecSyncRun::Step() {
  if (!exit_.has_value()) RETURN_IF_ERROR(CheckDeadline());
  RETURN_IF_ERROR(output_->ReadAvailable());
  return exit_.has_value() ? absl::OkStatus() : CheckExit();
}

bool ExecSyncRun::Finished() const {
  return exit_.has_value() && (output_->done() || !drained_.Check().ok());
}

absl::Status ExecSyncRun::CheckDeadline() {
  const absl::Status wanted = deadline_.Check();
  if (wanted.ok()) return wanted;
  RETURN_IF_ERROR_IN(process_->Kill(), "kill the program");
  // After this, all that it forked is gone too; unless it is frozen or in
  // state D, for which no caller waits.
  auto end =
      process_->Wait(base::Deadline::After(runtime::ExecProcess::kEndPatience));
  if (!end.ok() && !absl::IsDeadlineExceeded(end.status())) {
    return base::Annotate(end.status(), "kill the program");
  }
  return wanted;
}

absl::Status ExecSyncRun::CheckExit() {
  auto end = process_->Wait(base::Deadline::After(absl::ZeroDuration()));
  if (!end.ok()) {
    return absl::IsDeadlineExceeded(end.status()) ? absl::OkStatus()
                                                  : end.status();
  }
  exit_ = *end;
  drained_ = base::Deadline::After(kDrainPatience);
  // What the program wrote before it ended is in the pipes by now.
  return output_->ReadAvailable();
}

absl::Status ExecSyncRun::Explain(const absl::Status& status) const {
  if (absl::IsDeadlineExceeded(status) && !deadline_.Check().ok() &&
      caller_.Check().ok()) {
    return absl::DeadlineExceededError(absl::StrCat(
        "command timed out after ", absl::FormatDuration(command_.timeout)));
  }
  return status;
}

namespace {

// Its steps with nothing else to wait for.
class OnOneThread final : public Steps {
 public:
  explicit OnOneThread(ExecSyncRun* run) : run_(*run) {}
  absl::StatusOr<std::optional<Pause>> Next() override { return run_.Next(); }

 private:
  ExecSyncRun& run_;
};

}  // namespace

absl::StatusOr<ExecSyncResult> RunExecSync(runtime::Runtime* runtime,
                                           const std::string& container_id,
                                           const ExecSyncCommand& command,
                                           OutputBudget* budget,
                                           const base::Deadline& caller) {
  ASSIGN_OR_RETURN(
      const std::unique_ptr<ExecSyncRun> run,
      ExecSyncRun::Start(runtime, container_id, command, budget, caller));
  OnOneThread steps(run.get());
  RETURN_IF_ERROR(RunSteps(&steps, caller));
  return run->TakeResult();
}

}  // namespace warren::agent
