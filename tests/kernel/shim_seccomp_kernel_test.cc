// EXE-7: the filter is loaded after everything else, in exec sessions too.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/status.h"
#include "tests/kernel/shim_host.h"

namespace warren::test {
namespace {

constexpr uint64_t kSeccompNamespaces =
    CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

// `calls` give `result`, everything else is allowed.
std::string Filter(std::initializer_list<long> calls, uint32_t result) {
  std::vector<sock_filter> code = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const long call : calls) {
    code.push_back(
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, result));
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  return std::string(reinterpret_cast<const char*>(code.data()),
                     code.size() * sizeof(sock_filter));
}

class ShimSeccomp : public ShimTest {};

TEST_F(ShimSeccomp, EXE_7_SeccompFilterIsLoadedLast) {
  // Would stop the start if any of the init's steps came after it.
  const std::string filter =
      Filter({SYS_capset, SYS_setgroups, SYS_setresuid, SYS_setresgid,
              SYS_prctl, SYS_close_range, SYS_dup3, SYS_fchdir, SYS_umask,
              SYS_seccomp, SYS_sendmsg, SYS_chmod},
             SECCOMP_RET_ERRNO | EPERM);
  for (const uint64_t extra : {uint64_t{0}, uint64_t{CLONE_NEWUSER}}) {
    Pod pod = MakePod(kSeccompNamespaces | extra);
    for (const uint32_t uid : {0u, 1000u}) {
      for (const bool no_new_privs : {false, true}) {
        const auto fill = [&](shim::v1::Process* process) {
          process->set_uid(uid);
          process->set_cap_bounding(1 << 10);
          process->set_cap_effective(1 << 10);
          process->set_no_new_privs(no_new_privs);
          process->set_seccomp_program(filter);
        };
        ContainerLaunch launch = Container("", &pod);
        shim::v1::Process* process = launch.container()->mutable_process();
        process->clear_args();
        for (const char* arg : {"sleep", "1000"}) process->add_args(arg);
        fill(process);
        const runtime::Launched launched = Start(&launch);
        FdList fds;
        ExecPipes pipes;
        auto request =
            ExecRequest(launched, {"sleep", "1000"}, extra != 0, &fds, &pipes);
        fill(request.mutable_exec()->mutable_process());
        auto session = launcher().LaunchExec(request, fds.Numbers());
        ASSERT_TRUE(session.ok()) << session.status();
        const std::string permitted =
            uid == 0 ? "0000000000000400" : "0000000000000000";
        for (const pid_t pid :
             {launched.process.pid, session->launched().process.pid}) {
          EXPECT_EQ(StatusField(pid, "Seccomp"), "2");
          EXPECT_EQ(StatusField(pid, "Seccomp_filters"), "1");
          EXPECT_EQ(StatusField(pid, "NoNewPrivs"), no_new_privs ? "1" : "0");
          // EXE-6: what loading took is gone again.
          EXPECT_EQ(StatusField(pid, "CapPrm"), permitted);
          EXPECT_EQ(StatusField(pid, "CapEff"), permitted);
          EXPECT_EQ(StatusField(pid, "CapInh"), "0000000000000000");
          EXPECT_EQ(StatusField(pid, "CapAmb"), "0000000000000000");
        }
        KillAndAwait(launched);
      }
    }
    DropPod(&pod);
  }
}

TEST_F(ShimSeccomp, EXE_7_TheFilterWorks) {
  ContainerLaunch launch =
      Container("busybox chmod 700 /tmp 2>&1; busybox mkdir /tmp/a && echo y");
  launch.container()->mutable_process()->set_seccomp_program(
      Filter({SYS_chmod, SYS_fchmodat}, SECCOMP_RET_ERRNO | ENOTTY));
  const ContainerEnd end = Run(std::move(launch));
  EXPECT_NE(end.output.find("nappropriate ioctl"), std::string::npos)
      << end.output;
  EXPECT_NE(end.output.find("y\n"), std::string::npos) << end.output;
}

TEST_F(ShimSeccomp, AFailedExecveIsToldThroughAnyFilter) {
  const std::string silent =
      Filter({SYS_sendmsg, SYS_sendto, SYS_write}, SECCOMP_RET_KILL_PROCESS);
  const std::string refusing =
      Filter({SYS_execve, SYS_sendmsg}, SECCOMP_RET_ERRNO | EXDEV);
  const struct {
    const std::string& filter;
    const char* program;
    int error;
  } kTable[] = {{silent, "no-such-program", ENOENT},
                {refusing, "sleep", EXDEV}};
  for (const auto& [filter, program, error] : kTable) {
    ContainerLaunch launch = Container("");
    shim::v1::Process* process = launch.container()->mutable_process();
    process->clear_args();
    process->add_args(program);
    process->set_seccomp_program(filter);
    const ContainerEnd end = Run(std::move(launch));
    EXPECT_EQ(runtime::FailedStep(end.status), "execve") << end.status;
    EXPECT_EQ(base::GetErrno(end.status), error) << end.status;
  }
}

// Seen without its filter, a program could be made to do what that refuses. A
// filter that refuses the last fork, or the session after it, is no start in a
// pid namespace with others in it, and nothing stays.
TEST_F(ShimSeccomp, EXE_7_AFilterThatRefusesTheLastForkEndsTheStart) {
  const struct {
    long call;
    uint32_t result;
    const char* step;
  } kTable[] = {{SYS_clone, SECCOMP_RET_ERRNO | EPERM, "enter"},
                {SYS_setsid, SECCOMP_RET_ERRNO | EPERM, "enter"},
                {SYS_clone, SECCOMP_RET_KILL_PROCESS, "clone"},
                {SYS_clone3, SECCOMP_RET_KILL_PROCESS, ""}};
  Pod pod = MakePod(kSeccompNamespaces | CLONE_NEWPID);
  ContainerLaunch target = Container("exec sleep 1000", &pod);
  const runtime::Launched launched = Start(&target);
  for (const auto& [call, result, step] : kTable) {
    ContainerLaunch launch = Container("exec true", &pod);
    launch.container()->mutable_process()->set_seccomp_program(
        Filter({call}, result));
    const ContainerEnd end = Run(std::move(launch));
    EXPECT_EQ(runtime::FailedStep(end.status), step) << end.status;
    FdList fds;
    ExecPipes pipes;
    auto request = ExecRequest(launched, {"/bin/true"}, false, &fds, &pipes);
    request.mutable_exec()->mutable_process()->set_seccomp_program(
        Filter({call}, result));
    const auto session = launcher().LaunchExec(request, fds.Numbers());
    EXPECT_EQ(runtime::FailedStep(session.status()), step) << session.status();
  }
  // Alone in a pid namespace of its own there is no such fork.
  ContainerLaunch alone = Container("echo on");
  alone.container()->mutable_process()->set_seccomp_program(
      Filter({SYS_clone, SYS_clone3, SYS_setsid}, SECCOMP_RET_ERRNO | EPERM));
  EXPECT_EQ(Run(std::move(alone)).output, "on\n");
  KillAndAwait(launched);
  DropPod(&pod);
}

// On a kernel that cannot mount the procfs of another pid namespace, where none
// was kept, somebody inside mounts it. Such a kernel is a filter of the thread
// that starts the shim.
TEST_F(ShimSeccomp, AProcfsThatNobodyKeptIsMountedFromInside) {
  sock_filter no_descriptors[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsconfig, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FSCONFIG_SET_FD, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog filter = {std::size(no_descriptors), no_descriptors};
  for (const uint64_t extra : {uint64_t{0}, uint64_t{CLONE_NEWUSER}}) {
    for (const bool old_kernel : {false, true}) {
      Pod pod = MakePod(kSeccompNamespaces | CLONE_NEWPID | extra);
      ContainerLaunch launch = Container("cat /proc/1/comm; echo $$", &pod);
      ASSERT_EQ(launch.container()->mounts(0).fs_type(), "proc");
      launch.container()->mutable_mounts(0)->clear_fd();
      ContainerEnd end;
      std::thread([&] {
        if (old_kernel) {
          ASSERT_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter),
                    0);
        }
        end = Run(std::move(launch));
      }).join();
      EXPECT_EQ(end.output, "pod-init\n2\n") << end.status << old_kernel;
      DropPod(&pod);
    }
  }
}

TEST_F(ShimSeccomp, ABadProgramStopsTheStart) {
  ContainerLaunch launch = Container("true");
  launch.container()->mutable_process()->set_seccomp_program(
      std::string(8 * 5, '\xff'));
  const ContainerEnd end = Run(std::move(launch));
  EXPECT_EQ(runtime::FailedStep(end.status), "seccomp") << end.status;
}

}  // namespace
}  // namespace warren::test
