#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "tests/kernel/runtime_host.h"

namespace warren::runtime {
namespace {

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
  absl::StatusOr<ExecResult> ExecShell(
      const ContainerSpec& spec, const std::string& script,
      absl::Duration timeout = test::Patience(absl::Seconds(60))) {
    ExecRequest request;
    request.args = {"sh", "-c", script};
    request.timeout = timeout;
    request.output_limit_bytes = 1 << 20;
    return runtime().ExecSync(spec.id, request);
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
  ExecRequest request;
  request.args = {"/bin/nope"};
  request.output_limit_bytes = 1 << 20;
  auto result = runtime().ExecSync(spec.id, request);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.status().message(), HasSubstr("/bin/nope"));
  request.args.clear();
  EXPECT_EQ(runtime().ExecSync(spec.id, request).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(RuntimeExec, STR_3_FloodIsCutButNotBlocked) {
  const ContainerSpec spec = Idle(Pod());
  ExecRequest request;
  request.args = {"sh", "-c",
                  "yes | head -c 8388608; yes no | head -c "
                  "8388608 >&2; exit 6"};
  request.output_limit_bytes = 100000;
  auto result = runtime().ExecSync(spec.id, request);
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
  ExecRequest request;
  request.args = {"sleep", "600"};
  request.output_limit_bytes = 1000;
  request.cancelled = [begin] {
    return absl::Now() - begin > absl::Milliseconds(100);
  };
  EXPECT_EQ(runtime().ExecSync(spec.id, request).status().code(),
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
  absl::StatusOr<ExecResult> result = absl::UnknownError("");
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

TEST_F(RuntimeExec, LogIsReopened) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const ContainerSpec spec =
      Shell(pod,
            "echo one; while ! test -e /go; do sleep 0.01; done; echo two; "
            "sleep 600");
  Create(spec);
  EXPECT_EQ(runtime().ReopenLog(spec.id).code(),
            absl::StatusCode::kFailedPrecondition);
  Start(spec);
  WaitLog(spec, "one");
  const std::string path = spec.log_directory + "/" + spec.log_path;
  ASSERT_EQ(rename(path.c_str(), (path + ".1").c_str()), 0);
  ASSERT_TRUE(runtime().ReopenLog(spec.id).ok());
  Exec(spec, "touch /go");
  WaitLog(spec, "two");
  EXPECT_EQ(LogPayload(log_text(spec), "stdout"), "two\n");
}

}  // namespace
}  // namespace warren::runtime
