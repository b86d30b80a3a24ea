// A container's life: namespaces, stdio, exit records, failures, adoption.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sstream>

#include "runtime/base/file.h"
#include "runtime/base/message_socket.h"
#include "runtime/base/status.h"
#include "tests/kernel/shim_host.h"

namespace warren::test {
namespace {

constexpr uint64_t kNewTime = 0x80;
constexpr uint64_t kUsual =
    CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | kNewTime;

class ShimContainer : public ShimTest {
 protected:
  // Our children that have not been reaped yet.
  static std::string Children() {
    return Slurp(AT_FDCWD,
                 "/proc/self/task/" + std::to_string(getpid()) + "/children");
  }
};

TEST_F(ShimContainer, RunsAndLeavesExitCodeAndLog) {
  const ContainerEnd end = RunScript("echo hello; exit 7");
  ASSERT_TRUE(end.status.ok()) << end.status;
  EXPECT_EQ(end.exited.exit_code(), 7);
  EXPECT_EQ(end.exited.signal(), 0);
  EXPECT_FALSE(end.exited.oom_killed());
  EXPECT_GT(end.exited.finished_at_ns(), 0);
  EXPECT_EQ(end.output, "hello\n");
}

TEST_F(ShimContainer, IsPidOneInNewNamespaces) {
  for (const uint64_t extra : {uint64_t{0}, uint64_t{CLONE_NEWUSER}}) {
    Pod pod = MakePod(kUsual | extra);
    ContainerLaunch launch = Container(
        "echo $$; readlink /proc/self/ns/*; "
        "exec sleep 1000",
        &pod);
    const runtime::Launched launched = Start(&launch);
    const pid_t pid = launched.process.pid;
    ASSERT_GT(pid, 0);
    for (const char* name : {"mnt", "pid", "cgroup"}) {
      EXPECT_NE(NamespaceInode(pid, name), NamespaceInode(getpid(), name));
    }
    for (const char* name : {"net", "ipc", "uts", "time"}) {
      EXPECT_EQ(NamespaceInode(pid, name), Inode(pod.OpenPin(name).get()));
    }
    EXPECT_EQ(NamespaceInode(pid, "user"),
              extra != 0 ? Inode(pod.OpenPin("user").get())
                         : NamespaceInode(getpid(), "user"));
    const std::string uid = std::to_string(extra != 0 ? kHostIds : 0);
    EXPECT_EQ(StatusField(pid, "Uid"),
              uid + "\t" + uid + "\t" + uid + "\t" + uid);
    EXPECT_EQ(StatusField(pid, "NSpid"), std::to_string(pid) + "\t1");
    EXPECT_EQ(NamespaceInode(launched.shim.id.pid, "net"),
              NamespaceInode(getpid(), "net"));
    EXPECT_EQ(*base::StartTime(pid), launched.process.start_time);
    EXPECT_TRUE(Eventually([&] {
      return LogText(Slurp(launch.log_dir.get(), "0.log")).substr(0, 2) ==
             "1\n";
    }));
    KillAndAwait(launched);
    const auto exited = runtime::ReadExitFile(launch.run_dir.get());
    EXPECT_EQ((*exited)->exit_code(), 137);
    EXPECT_EQ((*exited)->signal(), SIGKILL);
    DropPod(&pod);
  }
}

TEST_F(ShimContainer, PodSharedPidNamespaceHasTwoNumbers) {
  for (const uint64_t extra : {uint64_t{0}, uint64_t{CLONE_NEWUSER}}) {
    Pod pod = MakePod(kUsual | CLONE_NEWPID | extra);
    ContainerLaunch launch = Container("exec sleep 1000", &pod);
    const runtime::Launched launched = Start(&launch);
    EXPECT_EQ(NamespaceInode(launched.process.pid, "pid"),
              Inode(pod.OpenPin("pid").get()));
    const ContainerEnd end = RunScript(
        "ps | grep -c 'sleep 100[0]'; "
        "ps | grep -c pod-ini[t]",
        &pod);
    EXPECT_EQ(end.output, "1\n1\n");
    // The shim itself stayed in its own pid namespace.
    EXPECT_EQ(NamespaceInode(launched.shim.id.pid, "pid_for_children"),
              NamespaceInode(getpid(), "pid"));
    auto pidfd = base::OpenProcess(launched.process);
    ASSERT_TRUE(base::SendSignal(pidfd->get(), SIGTERM).ok());
    AwaitEnd(launched);
    EXPECT_EQ((*runtime::ReadExitFile(launch.run_dir.get()))->exit_code(), 143);
    DropPod(&pod);
  }
}

TEST_F(ShimContainer, REL_10_NodePidNamespaceLeavesNoZombies) {
  ContainerLaunch launch =
      Container("for i in $(seq 20); do (true &); done; exec sleep 1000");
  launch.container()->set_clone_flags(CLONE_NEWNS | CLONE_NEWCGROUP);
  const runtime::Launched launched = Start(&launch);
  EXPECT_EQ(NamespaceInode(launched.process.pid, "pid"),
            NamespaceInode(getpid(), "pid"));
  // Orphans go to the shim, which reaps them: only the program is left.
  const std::string shim = std::to_string(launched.shim.id.pid);
  EXPECT_TRUE(Eventually([&] {
    return StatusField(launched.process.pid, "Name") == "sleep" &&
           Slurp(AT_FDCWD, "/proc/" + shim + "/task/" + shim + "/children") ==
               std::to_string(launched.process.pid) + " ";
  }));
  KillAndAwait(launched);
}

TEST_F(ShimContainer, ExecFailuresNameTheProgram) {
  const struct {
    const char* program;
    int error;
  } kCases[] = {{"/bin/nope", ENOENT},
                {"nope", ENOENT},
                {"/etc", EACCES},
                {"/etc/plain", EACCES},
                {"/etc/garbage", ENOEXEC}};
  for (const auto& c : kCases) {
    ContainerLaunch launch = Container("");
    launch.container()->mutable_process()->clear_args();
    launch.container()->mutable_process()->add_args(c.program);
    const base::UniqueFd etc(
        openat(launch.rootfs.get(), "etc", O_RDONLY | O_CLOEXEC));
    base::UniqueFd(openat(etc.get(), "plain", O_CREAT | O_WRONLY, 0644));
    base::UniqueFd(openat(etc.get(), "garbage", O_CREAT | O_WRONLY, 0755));
    const base::UniqueFd run = base::DupFd(launch.run_dir.get()).value();
    const ContainerEnd end = Run(std::move(launch));
    ASSERT_FALSE(end.status.ok());
    EXPECT_EQ(runtime::FailedStep(end.status), "execve");
    EXPECT_EQ(base::GetErrno(end.status), c.error) << end.status;
    EXPECT_NE(end.status.message().find(
                  std::string("start container: exec \"") + c.program + "\""),
              absl::string_view::npos)
        << end.status;
    EXPECT_TRUE(base::ListDir(run.get(), ".")->empty());
    EXPECT_EQ(Children(), "");
  }
}

TEST_F(ShimContainer, FailedStepsNameWhatTheyWereAbout) {
  ContainerLaunch launch = Container("true");
  shim::v1::MountOp* op = launch.container()->add_mounts();
  op->set_kind(shim::v1::MountOp::NEW_FS);
  op->set_fs_type("nosuchfs");
  op->set_target("/mnt/x");
  const ContainerEnd end = Run(std::move(launch));
  EXPECT_EQ(runtime::FailedStep(end.status), "mount");
  EXPECT_EQ(base::GetErrno(end.status), ENODEV);
  EXPECT_NE(end.status.message().find("mount /mnt/x: No such device"),
            absl::string_view::npos)
      << end.status;
  EXPECT_EQ(Children(), "");
}

TEST_F(ShimContainer, MalformedRequestsAreRefused) {
  ContainerLaunch launch = Container("true");
  launch.container()->set_rootfs_fd(77);
  EXPECT_EQ(runtime::FailedStep(Run(std::move(launch)).status), "plan");
  launch = Container("true");
  launch.container()->mutable_process()->add_args(std::string("a\0b", 3));
  EXPECT_EQ(runtime::FailedStep(Run(std::move(launch)).status), "plan");
  launch = Container("true");
  launch.container()->mutable_process()->set_cwd("tmp");
  EXPECT_EQ(runtime::FailedStep(Run(std::move(launch)).status), "plan");
  launch = Container("true");
  launch.request.clear_mode();
  EXPECT_EQ(runtime::FailedStep(Run(std::move(launch)).status), "launch");
}

TEST_F(ShimContainer, ExitRecordIsWrittenWhenTheAgentDies) {
  // A second process plays the agent: it starts the container and dies.
  ContainerLaunch launch =
      Container("trap 'echo late; exit 5' USR1; echo ready; sleep 1000 & wait");
  base::Pipe pipe = *base::MakePipe();
  const pid_t agent = fork();
  if (agent == 0) {
    auto launched =
        launcher().LaunchContainer(launch.request, launch.fds.Numbers());
    const pid_t pids[2] = {launched.ok() ? launched->process.pid : -1,
                           launched.ok() ? launched->shim.id.pid : -1};
    (void)!write(pipe.write.get(), pids, sizeof(pids));
    kill(getpid(), SIGKILL);
  }
  ASSERT_GT(agent, 0);
  pid_t pids[2] = {-1, -1};
  ASSERT_EQ(read(pipe.read.get(), pids, sizeof(pids)),
            static_cast<ssize_t>(sizeof(pids)));
  ASSERT_EQ(waitpid(agent, nullptr, 0), agent);
  ASSERT_GT(pids[0], 0);
  // A restarted agent finds it by the socket, and it is who it was.
  auto connection = runtime::ShimConnection::Connect(launch.run_dir.get());
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_EQ(connection->shim().pid, pids[1]);
  auto started = connection->Query();
  ASSERT_TRUE(started.ok()) << started.status();
  EXPECT_EQ(started->pid(), pids[0]);
  EXPECT_FALSE(runtime::ReadExitFile(launch.run_dir.get())->has_value());
  const base::UniqueFd shim = *base::OpenPidfd(pids[1]);
  // SIGHUP and SIGTERM of a shutdown do not end a shim.
  ASSERT_TRUE(base::SendSignal(shim.get(), SIGHUP).ok());
  ASSERT_TRUE(base::SendSignal(shim.get(), SIGTERM).ok());
  EXPECT_TRUE(Eventually([&] {
    return LogText(Slurp(launch.log_dir.get(), "0.log")) == "ready\n";
  }));
  ASSERT_TRUE(connection->Signal(SIGUSR1).ok());
  EXPECT_TRUE(*base::WaitExit(shim.get(), absl::Seconds(10)));
  EXPECT_EQ((*runtime::ReadExitFile(launch.run_dir.get()))->exit_code(), 5);
  EXPECT_EQ(LogText(Slurp(launch.log_dir.get(), "0.log")), "ready\nlate\n");
  EXPECT_EQ(connection->Query().status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(
      runtime::ShimConnection::Connect(launch.run_dir.get()).status().code(),
      absl::StatusCode::kUnavailable);
}

TEST_F(ShimContainer, GivingUpTheLaunchLeavesNothing) {
  auto ends = *base::SocketPair();
  base::SpawnOptions options;
  options.path = WARREN_SHIM_PATH;
  options.args = {"warren-shim"};
  options.fds = {-1, -1, -1, ends.second.get()};
  base::Child shim = *base::Spawn(options);
  ends.second.reset();
  ends.first.reset();  // not a word was said
  EXPECT_TRUE(*base::WaitExit(shim.pidfd.get(), absl::Seconds(10)));
  EXPECT_TRUE(base::Reap(shim.pidfd.get()).ok());
  EXPECT_EQ(Children(), "");
}

TEST_F(ShimContainer, ProgramStartsWithCleanSignals) {
  ContainerLaunch launch = Container("exec sleep 1000");
  const runtime::Launched launched = Start(&launch);
  for (const char* key : {"SigBlk", "SigIgn", "SigCgt"}) {
    EXPECT_TRUE(Eventually([&] {
      return StatusField(launched.process.pid, key) == "0000000000000000";
    })) << key;
  }
  KillAndAwait(launched);
}

TEST_F(ShimContainer, StdinIsNullUnlessOpen) {
  EXPECT_EQ(RunScript("readlink /proc/self/fd/0; cat | wc -c").output,
            "/dev/null\n0\n");
  ContainerLaunch launch = Container("cat");
  launch.container()->set_stdin_open(true);
  const runtime::Launched launched = Start(&launch);
  auto pidfd = base::OpenProcess(launched.process);
  // cat waits: nobody closed its input.
  EXPECT_FALSE(*base::WaitExit(pidfd->get(), absl::Milliseconds(100)));
  KillAndAwait(launched);
}

TEST_F(ShimContainer, StdoutCanBeOpenedAgainByItsUser) {
  for (const uint64_t extra : {uint64_t{0}, uint64_t{CLONE_NEWUSER}}) {
    Pod pod = MakePod(kUsual | extra);
    ContainerLaunch launch =
        Container("echo one >/proc/self/fd/1; echo two >/proc/self/fd/2", &pod);
    launch.container()->mutable_process()->set_uid(1000);
    launch.container()->mutable_process()->set_gid(1000);
    const ContainerEnd end = Run(std::move(launch));
    EXPECT_NE(end.log.find("stdout F one"), std::string::npos) << end.log;
    EXPECT_NE(end.log.find("stderr F two"), std::string::npos) << end.log;
    DropPod(&pod);
  }
}

TEST_F(ShimContainer, TtyIsTheContainersOwnTerminal) {
  for (const uint64_t extra : {uint64_t{0}, uint64_t{CLONE_NEWUSER}}) {
    Pod pod = MakePod(kUsual | extra);
    ContainerLaunch launch = Container(
        "tty; echo err >&2; stat -c %t:%T /dev/console; echo con >/dev/console;"
        "stat -c '%u %g' $(tty)",
        &pod);
    launch.container()->set_tty(true);
    const ContainerEnd end = Run(std::move(launch));
    ASSERT_TRUE(end.status.ok()) << end.status;
    EXPECT_EQ(end.output, "/dev/pts/0\nerr\n88:0\ncon\n0 5\n");
    EXPECT_EQ(end.log.find("stderr"), std::string::npos);
    DropPod(&pod);
  }
}

TEST_F(ShimContainer, GrandchildHoldingThePipeDoesNotKeepTheShim) {
  Pod pod = MakePod(kUsual | CLONE_NEWPID);
  const absl::Time before = absl::Now();
  const ContainerEnd end = RunScript("sleep 1000 & echo out", &pod);
  EXPECT_EQ(end.output, "out\n");
  EXPECT_LT(absl::Now() - before, absl::Seconds(3));
  // One that never stops talking does not either.
  const ContainerEnd chatty = RunScript("yes & exit 3", &pod);
  EXPECT_EQ(chatty.exited.exit_code(), 3);
  EXPECT_LT(absl::Now() - before, absl::Seconds(10));
  DropPod(&pod);
}

TEST_F(ShimContainer, ManyDescriptorsTravelInSeveralMessages) {
  ContainerLaunch launch = Container("echo ok");
  for (int i = 0; i < 600; ++i) launch.fds.AddCopy(launch.run_dir.get());
  EXPECT_EQ(Run(std::move(launch)).output, "ok\n");
}

}  // namespace
}  // namespace warren::test
