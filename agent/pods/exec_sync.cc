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

// Runs one session to its end. Whenever Run returns, the program is dead, or
// was sent SIGKILL.
class Collection {
 public:
  Collection(runtime::ExecProcess* process, OutputCollector* output,
             const base::Deadline& deadline)
      : process_(*process),
        output_(*output),
        deadline_(deadline),
        drained_(base::Deadline::Never()) {}

  absl::StatusOr<ExecSyncResult> Run() {
    while (!Finished()) {
      if (!exit_.has_value()) RETURN_IF_ERROR(CheckDeadline());
      Poll();
      RETURN_IF_ERROR(output_.ReadAvailable());
      if (!exit_.has_value()) RETURN_IF_ERROR(CheckExit());
    }
    return ExecSyncResult{exit_->exit_code, output_.TakeStdout(),
                          output_.TakeStderr()};
  }

 private:
  bool Finished() const {
    return exit_.has_value() && (output_.done() || !drained_.Check().ok());
  }

  absl::Status CheckDeadline() {
    const absl::Status wanted = deadline_.Check();
    if (wanted.ok()) return wanted;
    RETURN_IF_ERROR_IN(process_.Kill(), "kill the program");
    // After this, all that it forked is gone too; unless it is frozen or in
    // state D, for which no caller waits.
    auto end = process_.Wait(
        base::Deadline::After(runtime::ExecProcess::kEndPatience));
    if (!end.ok() && !absl::IsDeadlineExceeded(end.status())) {
      return base::Annotate(end.status(), "kill the program");
    }
    return wanted;
  }

  absl::Status CheckExit() {
    auto end = process_.Wait(base::Deadline::After(absl::ZeroDuration()));
    if (!end.ok()) {
      return absl::IsDeadlineExceeded(end.status()) ? absl::OkStatus()
                                                    : end.status();
    }
    exit_ = *end;
    drained_ = base::Deadline::After(kDrainPatience);
    // What the program wrote before it ended is in the pipes by now.
    return output_.ReadAvailable();
  }

  void Poll() const {
    std::vector<pollfd> polled;
    output_.AddTo(&polled);
    if (!exit_.has_value()) polled.push_back({process_.event_fd(), POLLIN, 0});
    const base::Deadline& until = exit_.has_value() ? drained_ : deadline_;
    poll(polled.data(), polled.size(), until.PollMilliseconds());
  }

  runtime::ExecProcess& process_;
  OutputCollector& output_;
  const base::Deadline& deadline_;
  base::Deadline drained_;
  std::optional<runtime::ExecExit> exit_;
};

}  // namespace

absl::StatusOr<ExecSyncResult> RunExecSync(runtime::Runtime* runtime,
                                           const std::string& container_id,
                                           const ExecSyncCommand& command,
                                           OutputBudget* budget,
                                           const base::Deadline& caller) {
  const base::Deadline deadline = caller.Within(command.timeout);
  ASSIGN_OR_RETURN(base::Pipe out, base::MakePipe());
  ASSIGN_OR_RETURN(base::Pipe err, base::MakePipe());
  ASSIGN_OR_RETURN(
      const std::unique_ptr<OutputCollector> output,
      OutputCollector::Make(std::move(out.read), std::move(err.read),
                            command.output_limit_bytes, budget));
  runtime::ExecSpec spec;
  spec.args = command.args;
  spec.stdout_fd = std::move(out.write);
  spec.stderr_fd = std::move(err.write);
  const auto run = [&]() -> absl::StatusOr<ExecSyncResult> {
    ASSIGN_OR_RETURN(
        const std::unique_ptr<runtime::ExecProcess> process,
        runtime->StartExec(container_id, std::move(spec), deadline));
    return Collection(process.get(), output.get(), deadline).Run();
  };
  auto result = run();
  if (absl::IsDeadlineExceeded(result.status()) && !deadline.Check().ok() &&
      caller.Check().ok()) {
    return absl::DeadlineExceededError(absl::StrCat(
        "command timed out after ", absl::FormatDuration(command.timeout)));
  }
  return result;
}

}  // namespace warren::agent
