// Exec sessions: namespaces, output, exit codes, failures, killing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "tests/kernel/shim_cgroup.h"
#include "tests/kernel/shim_host.h"

namespace warren::test {
namespace {

constexpr uint64_t kUsual = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

class ShimExec : public ShimTest {
 protected:
  // A container to exec into.
  void StartTarget(const Pod* pod = nullptr) {
    target_launch_ = Container("exec sleep 1000", pod);
    target_ = Start(&target_launch_);
    user_ = pod != nullptr && pod->user;
  }
  void EndTarget() {
    auto pidfd = base::OpenProcess(target_.process);
    ASSERT_TRUE(pidfd.ok());
    ASSERT_TRUE(base::SendSignal(pidfd->get(), SIGKILL).ok());
    AwaitEnd(target_);
  }
  struct Result {
    absl::Status status;
    shim::v1::Exited exited;
    std::string out;
    std::string err;
  };
  Result Exec(std::vector<std::string> args,
              const std::function<void(shim::v1::ExecLaunch*)>& edit = {}) {
    Result result;
    ExecPipes pipes;
    absl::StatusOr<runtime::ExecSession> session = absl::UnknownError("");
    {
      FdList fds;
      auto request = ExecRequest(target_, std::move(args), user_, &fds, &pipes);
      if (edit) edit(request.mutable_exec());
      session = launcher().LaunchExec(request, fds.Numbers());
    }
    result.status = session.status();
    if (!session.ok()) return result;
    result.out = Drain(pipes.out.get());
    result.err = Drain(pipes.err.get());
    auto exited = session->Wait(InTenSeconds());
    EXPECT_TRUE(exited.ok()) << exited.status();
    if (exited.ok()) result.exited = *exited;
    return result;
  }
  // Live processes of the target's pid namespace with this in their command
  // line, host numbers.
  std::vector<pid_t> Find(const std::string& text) {
    std::vector<pid_t> found;
    const auto names = base::ListDir(AT_FDCWD, "/proc");
    for (const std::string& name : *names) {
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      const std::string cmd = Slurp(AT_FDCWD, "/proc/" + name + "/cmdline");
      if (cmd.find(text) == std::string::npos) continue;
      if (NamespaceInode(std::stoi(name), "pid") ==
          NamespaceInode(target_.process.pid, "pid")) {
        found.push_back(std::stoi(name));
      }
    }
    return found;
  }

  ContainerLaunch target_launch_;
  runtime::Launched target_;
  bool user_ = false;
};

TEST_F(ShimExec, RunsInTheContainer) {
  for (const uint64_t extra : {uint64_t{0}, uint64_t{CLONE_NEWUSER}}) {
    Pod pod = MakePod(kUsual | extra);
    StartTarget(&pod);
    const Result r =
        Exec({"sh", "-c",
              "echo out; echo err >&2; readlink /proc/1/exe; id -u; "
              "for n in mnt pid net ipc uts user cgroup; do "
              "test $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) "
              "|| echo differs: $n; done; exit 3"});
    ASSERT_TRUE(r.status.ok()) << r.status;
    EXPECT_EQ(r.out, "out\n/bin/busybox\n0\n");
    EXPECT_EQ(r.err, "err\n");
    EXPECT_EQ(r.exited.exit_code(), 3);
    EndTarget();
    DropPod(&pod);
  }
}

TEST_F(ShimExec, SignalsAndFailuresAreReported) {
  StartTarget();
  const Result killed = Exec({"sh", "-c", "kill -SEGV $$"});
  EXPECT_EQ(killed.exited.signal(), SIGSEGV);
  EXPECT_EQ(killed.exited.exit_code(), 139);
  for (const auto& [program, error] :
       {std::pair<const char*, int>{"/bin/nope", ENOENT},
        {"nope", ENOENT},
        {"/etc", EACCES}}) {
    const Result r = Exec({program});
    ASSERT_FALSE(r.status.ok());
    EXPECT_EQ(runtime::FailedStep(r.status), "execve");
    EXPECT_EQ(base::GetErrno(r.status), error);
  }
  const Result gone = Exec({"true"}, [](shim::v1::ExecLaunch* exec) {
    exec->mutable_process()->set_cwd("/no/such/directory");
  });
  EXPECT_EQ(runtime::FailedStep(gone.status), "cwd");
  EndTarget();
}

TEST_F(ShimExec, IntoAnEndedContainerFails) {
  StartTarget();
  FdList fds;
  ExecPipes pipes;
  auto request = ExecRequest(target_, {"true"}, false, &fds, &pipes);
  EndTarget();
  auto session = launcher().LaunchExec(request, fds.Numbers());
  ASSERT_FALSE(session.ok());
  EXPECT_EQ(runtime::FailedStep(session.status()), "join_target");
  EXPECT_EQ(base::GetErrno(session.status()), ESRCH);
}

TEST_F(ShimExec, EndsShortlyAfterItsProgramWhateverHoldsThePipes) {
  StartTarget();
  FdList fds;
  ExecPipes pipes;
  auto request = ExecRequest(target_, {"sh", "-c", "sleep 1001 & echo done"},
                             false, &fds, &pipes);
  auto session = launcher().LaunchExec(request, fds.Numbers());
  ASSERT_TRUE(session.ok()) << session.status();
  const absl::Time before = absl::Now();
  EXPECT_EQ(session->Wait(InTenSeconds())->exit_code(), 0);
  EXPECT_LT(absl::Now() - before, absl::Seconds(2));
  // Background work is left alone. It is there as a fork of the shell before it
  // is there as sleep.
  EXPECT_TRUE(Eventually([&] {
    const std::vector<pid_t> found = Find("1001");
    return found.size() == 1 &&
           StatusField(found[0], "Name").find("sleep") != std::string::npos;
  }));
  EndTarget();
}

TEST_F(ShimExec, STR_3_KillEndsAllThatWasForked) {
  const TestCgroup cgroup("pids", "warren-test-shim-x");
  if (!cgroup.missing().empty()) GTEST_SKIP() << cgroup.missing();
  for (const bool by_closing : {false, true}) {
    target_launch_ = Container("exec sleep 1000");
    cgroup.Place(target_launch_.container()->mutable_cgroup(),
                 &target_launch_.fds);
    target_ = Start(&target_launch_);
    FdList fds;
    ExecPipes pipes;
    // A child, an orphan, a process group of its own, one in another session.
    auto request =
        ExecRequest(target_,
                    {"sh", "-c",
                     "sleep 1002 & (sleep 1002 &) ; setsid sleep 1002 & "
                     "trap '' TERM; echo up; sleep 1002"},
                    false, &fds, &pipes);
    shim::v1::ExecLaunch* exec = request.mutable_exec();
    cgroup.Place(exec->mutable_cgroup(), &fds);
    exec->set_cgroup_procs_fd(fds.Add(cgroup.Open("cgroup.procs", O_RDONLY)));
    auto session = launcher().LaunchExec(request, fds.Numbers());
    ASSERT_TRUE(session.ok()) << session.status();
    EXPECT_EQ(session->Wait(base::Deadline::After(absl::ZeroDuration()))
                  .status()
                  .code(),
              absl::StatusCode::kDeadlineExceeded);
    ASSERT_TRUE(Eventually([&] { return Find("1002").size() >= 4; }));
    if (by_closing) {
      const runtime::ExecSession closed = *std::move(session);
    } else {
      ASSERT_TRUE(session->Kill().ok());
      auto exited = session->Wait(InTenSeconds());
      ASSERT_TRUE(exited.ok()) << exited.status();
      EXPECT_EQ(exited->signal(), SIGKILL);
      EXPECT_EQ(exited->exit_code(), 137);
    }
    // A process leaves cgroup.procs when it begins to die, a moment before
    // its memory goes.
    EXPECT_TRUE(Eventually([&] { return Find("1002").empty(); }));
    // The container itself was not touched.
    EXPECT_EQ(Find("1000").size(), 1u);
    EndTarget();
  }
}

TEST_F(ShimExec, SignalReachesTheProgramOnly) {
  StartTarget();
  FdList fds;
  ExecPipes pipes;
  auto request = ExecRequest(
      target_,
      {"sh", "-c", "trap 'echo got; exit 6' USR1; echo up; sleep 1003 & wait"},
      false, &fds, &pipes);
  auto session = launcher().LaunchExec(request, fds.Numbers());
  ASSERT_TRUE(session.ok());
  char up[3];
  ASSERT_EQ(read(pipes.out.get(), up, 3), 3);
  ASSERT_TRUE(session->Signal(SIGUSR1).ok());
  EXPECT_EQ(session->Wait(InTenSeconds())->exit_code(), 6);
  EXPECT_EQ(session->Wait(InTenSeconds())->exit_code(), 6);
  EndTarget();
}

TEST_F(ShimExec, ContainerDeathEndsTheSession) {
  StartTarget();
  FdList fds;
  ExecPipes pipes;
  auto request = ExecRequest(target_, {"sleep", "1004"}, false, &fds, &pipes);
  auto session = launcher().LaunchExec(request, fds.Numbers());
  ASSERT_TRUE(session.ok());
  EndTarget();
  EXPECT_EQ(session->Wait(InTenSeconds())->exit_code(), 137);
}

TEST_F(ShimExec, StdinOfTheCallerIsUsed) {
  StartTarget();
  base::Pipe in = *base::MakePipe();
  FdList fds;
  ExecPipes pipes;
  auto request = ExecRequest(target_, {"cat"}, false, &fds, &pipes);
  request.mutable_exec()->set_stdin_fd(fds.Add(std::move(in.read)));
  auto session = launcher().LaunchExec(request, fds.Numbers());
  ASSERT_TRUE(session.ok());
  ASSERT_TRUE(base::WriteFd(in.write.get(), "typed").ok());
  in.write.reset();
  EXPECT_EQ(session->Wait(InTenSeconds())->exit_code(), 0);
  char got[6] = {};
  EXPECT_EQ(read(pipes.out.get(), got, 5), 5);
  EXPECT_STREQ(got, "typed");
  EndTarget();
}

}  // namespace
}  // namespace warren::test
