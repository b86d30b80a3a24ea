#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "tests/kernel/runtime_host.h"

namespace warren::runtime {
namespace {

using agent::ExecSyncCommand;
using agent::ExecSyncResult;
using ::testing::HasSubstr;

class RuntimeExec : public RuntimeTest {
 protected:
  // A container that only waits, in a pod made by `pod`.
  ContainerSpec Idle(const SandboxSpec& pod) {
    Create(pod);
    const ContainerSpec spec = Shell(pod, "echo up; exec sleep 600");
    Create(spec);
    Start(spec);
    WaitLog(spec, "up");
    return spec;
  }
  absl::StatusOr<ExecSyncResult> ExecShell(
      const ContainerSpec& spec, const std::string& script,
      absl::Duration timeout = test::Patience(absl::Seconds(60))) {
    ExecSyncCommand request;
    request.args = {"sh", "-c", script};
    request.timeout = timeout;
    request.output_limit_bytes = 1 << 20;
    return ExecSync(spec, request);
  }
  // Commands of all processes of the container, one a line.
  std::string Processes(const ContainerSpec& spec) {
    auto view = runtime().InspectContainer(spec.id);
    std::string text;
    if (!view.ok()) return view.status().ToString();
    for (const ProcessView& p : view->processes) text += p.command + "\n";
    return text;
  }
};

TEST_F(RuntimeExec, RunsInsideWithTheContainersIdentity) {
  const ContainerSpec spec = Idle(UserNamespacePod());
  auto result =
      ExecShell(spec,
                "id -u; hostname; cat /proc/self/cgroup | grep -c ':/$'; "
                "echo e >&2; exit 5");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code, 5);
  EXPECT_EQ(result->stderr_data, "e\n");
  // At the root of every hierarchy that the machine has; one with v2 alone.
  const auto own = base::ReadFileAt(AT_FDCWD, "/proc/self/cgroup");
  ASSERT_TRUE(own.ok()) << own.status();
  const auto count = std::count(own->begin(), own->end(), '\n');
  EXPECT_EQ(result->stdout_data,
            absl::StrCat("0\n", spec.sandbox.hostname, "\n", count, "\n"));
  for (const char* ns :
       {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"}) {
    auto same =
        ExecShell(spec, std::string("test $(readlink /proc/self/ns/") + ns +
                            ") = $(readlink /proc/1/ns/" + ns + ")");
    ASSERT_TRUE(same.ok()) << same.status();
    EXPECT_EQ(same->exit_code, 0) << ns;
  }
}

TEST_F(RuntimeExec, MissingProgramIsAnError) {
  const ContainerSpec spec = Idle(Pod());
  ExecSyncCommand request;
  request.args = {"/bin/nope"};
  request.output_limit_bytes = 1 << 20;
  auto result = ExecSync(spec, request);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.status().message(), HasSubstr("/bin/nope"));
  request.args.clear();
  EXPECT_EQ(ExecSync(spec, request).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(RuntimeExec, STR_3_FloodIsCutButNotBlocked) {
  const ContainerSpec spec = Idle(Pod());
  ExecSyncCommand request;
  request.args = {"sh", "-c",
                  "yes | head -c 8388608; yes no | head -c "
                  "8388608 >&2; exit 6"};
  request.output_limit_bytes = 100000;
  auto result = ExecSync(spec, request);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code, 6);
  EXPECT_EQ(result->stdout_data.size() + result->stderr_data.size(), 100000u);
}

TEST_F(RuntimeExec, STR_3_TimeoutKillsAllThatItForked) {
  const ContainerSpec spec = Idle(Pod());
  ASSERT_EQ(Processes(spec), "sleep 600\n");
  const absl::Time begin = absl::Now();
  auto result =
      ExecShell(spec, "trap '' TERM; setsid sleep 603 & sleep 601 & sleep 602",
                absl::Milliseconds(300));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(absl::Now() - begin, test::Patience(absl::Seconds(30)));
  EXPECT_EQ(Processes(spec), "sleep 600\n");
}

TEST_F(RuntimeExec, CancelledCallKills) {
  const ContainerSpec spec = Idle(Pod());
  const absl::Time begin = absl::Now();
  ExecSyncCommand request;
  request.args = {"sleep", "600"};
  request.output_limit_bytes = 1000;
  const auto gone = base::Deadline::Never().CancelledBy(
      [begin] { return absl::Now() - begin > absl::Milliseconds(100); });
  EXPECT_EQ(ExecSync(spec, request, gone).status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(Processes(spec), "sleep 600\n");
}

TEST_F(RuntimeExec, STR_3_GrandchildWithStdoutDoesNotHoldTheCall) {
  const ContainerSpec spec = Idle(Pod());
  const absl::Time begin = absl::Now();
  auto result = ExecShell(spec, "sleep 600 & echo done");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->stdout_data, "done\n");
  EXPECT_LT(absl::Now() - begin, test::Patience(absl::Seconds(10)));
}

TEST_F(RuntimeExec, EndsWithItsContainer) {
  const ContainerSpec spec = Idle(Pod());
  absl::StatusOr<ExecSyncResult> result = absl::UnknownError("");
  std::thread exec([&] { result = ExecShell(spec, "echo in; sleep 600"); });
  while (Processes(spec) == "sleep 600\n") std::this_thread::yield();
  ASSERT_TRUE(runtime().KillContainer(spec.id).ok());
  exec.join();
  EXPECT_EQ(WaitExit(spec).exit_code, 137);
  EXPECT_EQ(result.ok() ? result->exit_code : 137, 137);
  EXPECT_EQ(ExecShell(spec, "true").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(RuntimeExec, ManyAtOnce) {
  const ContainerSpec spec = Idle(Pod());
  const Ledger before = Ledger::Read(dir());
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      auto result = ExecShell(
          spec, "echo " + std::to_string(i) + "; exit " + std::to_string(i));
      if (result.ok() && result->exit_code == i &&
          result->stdout_data == std::to_string(i) + "\n") {
        ++good;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(good, 16);
  ExpectEqual(before, Ledger::Read(dir()));
}

// A session of the seam itself, with pipes.
struct Session {
  std::unique_ptr<ExecProcess> process;
  base::UniqueFd in;   // write end
  base::UniqueFd out;  // read end

  // The next `size` bytes of output.
  std::string Read(size_t size) {
    std::string text(size, '\0');
    size_t got = 0;
    while (got < size) {
      if (!base::AwaitFd(out.get(), POLLIN,
                         base::Deadline::After(absl::Seconds(10)))
               .ok()) {
        break;
      }
      const ssize_t n = read(out.get(), text.data() + got, size - got);
      if (n <= 0) break;
      got += static_cast<size_t>(n);
    }
    text.resize(got);
    return text;
  }
};

class RuntimeExecSession : public RuntimeExec {
 protected:
  Session Begin(const ContainerSpec& spec, const std::string& script) {
    Session session;
    base::Pipe in = *base::MakePipe();
    base::Pipe out = *base::MakePipe();
    ExecSpec exec;
    exec.args = {"sh", "-c", script};
    exec.stdin_fd = std::move(in.read);
    exec.stdout_fd = std::move(out.write);
    auto process =
        runtime().StartExec(spec.id, std::move(exec), base::Deadline::Never());
    EXPECT_TRUE(process.ok()) << process.status();
    if (process.ok()) session.process = *std::move(process);
    session.in = std::move(in.write);
    session.out = std::move(out.read);
    return session;
  }
  static base::Deadline Soon() {
    return base::Deadline::After(absl::Seconds(10));
  }
};

TEST_F(RuntimeExecSession, HasTheDescriptorsOfItsCaller) {
  const ContainerSpec spec = Idle(UserNamespacePod());
  Session session = Begin(spec, "read word; echo got $word; exit 4");
  ASSERT_NE(session.process, nullptr);
  const auto running =
      session.process->Wait(base::Deadline::After(absl::Milliseconds(20)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(running.status()));
  ASSERT_TRUE(base::WriteFd(session.in.get(), "it\n").ok());
  EXPECT_EQ(session.Read(7), "got it\n");
  for (int twice = 0; twice < 2; ++twice) {
    auto exit = session.process->Wait(Soon());
    ASSERT_TRUE(exit.ok()) << exit.status();
    EXPECT_EQ(exit->exit_code, 4);
    EXPECT_EQ(exit->signal, 0);
    EXPECT_GT(exit->finished_at_ns, 0);
  }
  // Nobody but the program had the other end.
  EXPECT_EQ(session.Read(1), "");
  EXPECT_TRUE(session.process->Kill().ok());
  EXPECT_TRUE(session.process->Signal(SIGTERM).ok());
}

TEST_F(RuntimeExecSession, SignalReachesTheProgramOnly) {
  const ContainerSpec spec = Idle(Pod());
  Session session =
      Begin(spec, "trap 'exit 9' USR1; echo up; sleep 601 & wait");
  EXPECT_EQ(session.Read(3), "up\n");
  ASSERT_TRUE(session.process->Signal(SIGUSR1).ok());
  EXPECT_EQ(session.process->Wait(Soon())->exit_code, 9);
  // What it forked goes on; it may not have executed its program yet.
  const base::Deadline patience = Soon();
  std::string left = Processes(spec);
  while (left.find("sleep 601") == std::string::npos && patience.Check().ok()) {
    left = Processes(spec);
  }
  EXPECT_THAT(left, HasSubstr("sleep 601"));
}

TEST_F(RuntimeExecSession, KillFromAnotherThreadEndsTheWait) {
  const ContainerSpec spec = Idle(Pod());
  Session session = Begin(spec, "setsid sleep 601 & echo up; sleep 602");
  EXPECT_EQ(session.Read(3), "up\n");
  std::thread killer([&] { EXPECT_TRUE(session.process->Kill().ok()); });
  auto exit = session.process->Wait(Soon());
  killer.join();
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->signal, SIGKILL);
  EXPECT_EQ(exit->exit_code, 137);
  EXPECT_EQ(Processes(spec), "sleep 600\n");
}

TEST_F(RuntimeExecSession, DroppingItEndsAllThatItForked) {
  const ContainerSpec spec = Idle(Pod());
  Session session =
      Begin(spec, "trap '' TERM; setsid sleep 601 & echo up; sleep 602");
  EXPECT_EQ(session.Read(3), "up\n");
  session.process.reset();
  EXPECT_EQ(Processes(spec), "sleep 600\n");
}

TEST_F(RuntimeExecSession, AWaitIsCancelledAndTheProgramGoesOn) {
  const ContainerSpec spec = Idle(Pod());
  Session session = Begin(spec, "read word; exit 3");
  std::atomic<bool> gone{false};
  std::thread caller([&] { gone = true; });
  EXPECT_TRUE(absl::IsCancelled(session.process
                                    ->Wait(base::Deadline::Never().CancelledBy(
                                        [&] { return gone.load(); }))
                                    .status()));
  caller.join();
  ASSERT_TRUE(base::WriteFd(session.in.get(), "on\n").ok());
  EXPECT_EQ(session.process->Wait(Soon())->exit_code, 3);
  EXPECT_TRUE(absl::IsFailedPrecondition(
      session.process->Resize({.rows = 1, .columns = 1})));
}

TEST_F(RuntimeExecSession, FS_5_TerminalIsOfTheContainersDevpts) {
  for (const SandboxSpec& pod : {Pod(), UserNamespacePod()}) {
    const ContainerSpec spec = Idle(pod);
    ExecSpec exec;
    exec.args = {"sh", "-c",
                 "trap 'stty size; exit 5' WINCH; tty; stty size; "
                 "stat -c '%u %g' $(tty); echo up; "
                 "while :; do sleep 0.01; done"};
    exec.terminal = TerminalSize{.rows = 40, .columns = 120};
    auto process = runtime().StartExec(spec.id, std::move(exec), Soon());
    ASSERT_TRUE(process.ok()) << process.status();
    Session session;
    session.out = (*process)->TakeTerminal();
    ASSERT_TRUE(session.out.valid());
    EXPECT_FALSE((*process)->TakeTerminal().valid());
    const std::string first = "/dev/pts/0\r\n40 120\r\n0 5\r\nup\r\n";
    EXPECT_EQ(session.Read(first.size()), first);
    ASSERT_TRUE((*process)->Resize({.rows = 50, .columns = 70}).ok());
    EXPECT_EQ(session.Read(7), "50 70\r\n");
    EXPECT_EQ((*process)->Wait(Soon())->exit_code, 5);
  }
}

TEST_F(RuntimeExecSession, AStartThatNobodyWaitsForLeavesNothing) {
  const ContainerSpec spec = Idle(Pod());
  const Ledger before = Ledger::Read(dir());
  ExecSpec exec;
  exec.args = {"sleep", "601"};
  const auto over = base::Deadline::After(absl::ZeroDuration());
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      runtime().StartExec(spec.id, std::move(exec), over).status()));
  EXPECT_EQ(Processes(spec), "sleep 600\n");
  ExpectEqual(before, Ledger::Read(dir()));
}

TEST_F(RuntimeExec, LogIsReopened) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const ContainerSpec spec =
      Shell(pod,
            "echo one; while ! test -e /go; do sleep 0.01; done; echo two; "
            "sleep 600");
  Create(spec);
  EXPECT_EQ(runtime().ReopenLog(spec.id, base::Deadline::Never()).code(),
            absl::StatusCode::kFailedPrecondition);
  Start(spec);
  WaitLog(spec, "one");
  const std::string path = spec.log_directory + "/" + spec.log_path;
  ASSERT_EQ(rename(path.c_str(), (path + ".1").c_str()), 0);
  ASSERT_TRUE(runtime().ReopenLog(spec.id, base::Deadline::Never()).ok());
  Exec(spec, "touch /go");
  WaitLog(spec, "two");
  EXPECT_EQ(LogPayload(log_text(spec), "stdout"), "two\n");
}

}  // namespace
}  // namespace warren::runtime
