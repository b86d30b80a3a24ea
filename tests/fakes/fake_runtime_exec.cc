#include <absl/strings/str_join.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <csignal>
#include <memory>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "tests/fakes/fake_runtime.h"

// The fake runtime's exec sessions: a program is an exit code and an eventfd.
namespace warren::test {

class FakeRuntime::Exec : public runtime::ExecProcess {
 public:
  explicit Exec(FakeRuntime* runtime)
      : runtime_(runtime), ended_(eventfd(0, EFD_CLOEXEC)) {
    Count(1);
  }
  ~Exec() override { Count(-1); }

  void End(runtime::ExecExit exit) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (has_ended_) return;
    has_ended_ = true;
    exit_ = exit;
    eventfd_write(ended_.get(), 1);
  }

  base::ProcessId process() const override { return {4321, 1}; }
  base::UniqueFd TakeTerminal() override { return {}; }
  int event_fd() const override { return ended_.get(); }
  absl::StatusOr<runtime::ExecExit> Wait(
      const base::Deadline& deadline) override {
    RETURN_IF_ERROR(base::AwaitFd(ended_.get(), POLLIN, deadline));
    const std::lock_guard<std::mutex> lock(mutex_);
    return exit_;
  }
  absl::Status Signal(int signal) override {
    End({128 + signal, signal, 1});
    return absl::OkStatus();
  }
  absl::Status Resize(runtime::TerminalSize) override {
    return absl::FailedPreconditionError("the session has no terminal");
  }
  absl::Status Kill() override { return Signal(SIGKILL); }

 private:
  void Count(int sessions) {
    {
      const std::lock_guard<std::mutex> lock(runtime_->mutex_);
      runtime_->exec_sessions_ += sessions;
    }
    runtime_->changed_.notify_all();
  }

  FakeRuntime* const runtime_;
  const base::UniqueFd ended_;
  std::mutex mutex_;
  bool has_ended_ = false;
  runtime::ExecExit exit_;
};

absl::StatusOr<std::unique_ptr<runtime::ExecProcess>> FakeRuntime::StartExec(
    const std::string&, runtime::ExecSpec spec, const base::Deadline&) {
  RETURN_IF_ERROR(faults_->Before("Runtime.StartExec"));
  auto exec = std::make_unique<Exec>(this);
  const std::string& program = spec.args[0];
  if (program == "echo") {
    const std::string said =
        absl::StrJoin(spec.args.begin() + 1, spec.args.end(), " ") + "\n";
    RETURN_IF_ERROR(base::WriteFd(spec.stdout_fd.get(), said));
    exec->End({0, 0, 1});
  } else if (program == "false") {
    exec->End({1, 0, 1});
  } else if (program != "sleep") {
    return absl::InternalError("no such program");
  }
  return exec;
}

}  // namespace warren::test
