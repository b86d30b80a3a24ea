// The EXE rows of the security requirements that the shim holds.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "tests/kernel/shim_host.h"

namespace warren::test {
namespace {

constexpr uint64_t kUsual = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

class ShimSecurity : public ShimTest {};

TEST_F(ShimSecurity, EXE_1_BinaryIsSealed) {
  // As pid 1's shim is not visible in the container, look at a process that
  // still is the shim's program: the pod init of a pod.
  Pod pod = MakePod(kUsual | CLONE_NEWPID);
  ContainerLaunch launch = Container(
      "dd if=/dev/zero of=/proc/1/exe count=1 2>&1 | tail -1;"
      "readlink /proc/1/exe",
      &pod);
  const ContainerEnd end = Run(std::move(launch));
  EXPECT_EQ(end.output.find("records out"), std::string::npos) << end.output;
  // The same with the host's full rights.
  const std::string exe =
      "/proc/" + std::to_string(pod.launched.process.pid) + "/exe";
  const base::UniqueFd fd(open(exe.c_str(), O_RDWR | O_CLOEXEC));
  if (fd.valid()) {
    EXPECT_EQ(write(fd.get(), "x", 1), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_NE(ftruncate(fd.get(), 0), 0);
  } else {
    EXPECT_EQ(errno, ETXTBSY);
  }
  DropPod(&pod);
}

TEST_F(ShimSecurity, EXE_2_ShimAndHolderCannotBeTraced) {
  Pod pod = MakePod(kUsual | CLONE_NEWPID);
  ContainerLaunch launch = Container(
      "cat /proc/1/environ 2>&1; ls /proc/1/fd; cat /proc/1/mem 2>&1;"
      "ls /proc/1/root/ 2>&1; ls -d /proc/1/cwd/. 2>&1",
      &pod);
  shim::v1::Process* process = launch.container()->mutable_process();
  process->set_cap_bounding(0xa80425fb);  // the usual default set
  process->set_cap_effective(0xa80425fb);
  const ContainerEnd end = Run(std::move(launch));
  EXPECT_EQ(std::count(end.output.begin(), end.output.end(), '\n'), 4)
      << end.output;
  std::istringstream lines(end.output);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_NE(line.find("ermission denied"), std::string::npos) << line;
  }
  DropPod(&pod);
}

TEST_F(ShimSecurity, EXE_2_ExecChildrenCannotBeSnooped) {
  ContainerLaunch launch = Container(
      "echo up; while true; do for p in /proc/[0-9]*; do "
      "readlink $p/exe; ls -l $p/fd; cat $p/environ; done 2>/dev/null | "
      "grep -E 'memfd|/tmp/warren-shim|LAUNCH' && echo HIT; done");
  shim::v1::Process* process = launch.container()->mutable_process();
  process->set_cap_bounding(0xa80425fb);
  process->set_cap_effective(0xa80425fb);
  const runtime::Launched launched = Start(&launch);
  ASSERT_TRUE(Eventually(
      [&] { return !Slurp(launch.log_dir.get(), "0.log").empty(); }));
  for (int i = 0; i < 100; ++i) {
    FdList fds;
    ExecPipes pipes;
    auto request = ExecRequest(launched, {"/bin/true"}, false, &fds, &pipes);
    auto session = launcher().LaunchExec(request, fds.Numbers());
    ASSERT_TRUE(session.ok()) << session.status();
    ASSERT_TRUE(session->Wait(InTime()).ok());
  }
  KillAndAwait(launched);
  EXPECT_EQ(LogText(Slurp(launch.log_dir.get(), "0.log")), "up\n");
}

TEST_F(ShimSecurity, EXE_3_OnlyStdioIsOpen) {
  for (const uint64_t extra : {uint64_t{0}, uint64_t{CLONE_NEWUSER}}) {
    Pod pod = MakePod(kUsual | extra);
    ContainerLaunch launch = Container("", &pod);
    shim::v1::Process* process = launch.container()->mutable_process();
    process->clear_args();
    for (const char* arg : {"sleep", "1000"}) process->add_args(arg);
    // Descriptors without close-on-exec must not get through either.
    for (int i = 0; i < 20; ++i) launch.fds.AddCopy(launch.run_dir.get());
    const runtime::Launched launched = Start(&launch);
    const auto fds = [](pid_t pid) {
      auto names =
          base::ListDir(AT_FDCWD, "/proc/" + std::to_string(pid) + "/fd");
      std::sort(names->begin(), names->end());
      return *names;
    };
    const std::vector<std::string> expected = {"0", "1", "2"};
    EXPECT_EQ(fds(launched.process.pid), expected);
    FdList list;
    ExecPipes pipes;
    auto request =
        ExecRequest(launched, {"sleep", "1000"}, extra != 0, &list, &pipes);
    auto session = launcher().LaunchExec(request, list.Numbers());
    ASSERT_TRUE(session.ok()) << session.status();
    EXPECT_EQ(fds(session->launched().process.pid), expected);
    KillAndAwait(launched);
    DropPod(&pod);
  }
}

TEST_F(ShimSecurity, EXE_3_ShimKeepsNothingOfTheLaunch) {
  ContainerLaunch launch = Container("exec sleep 1000");
  const runtime::Launched launched = Start(&launch);
  const std::string dir =
      "/proc/" + std::to_string(launched.shim.id.pid) + "/fd";
  // stdio, two pipes, pidfd, signalfd, listener, run directory, exit file, log
  // and its directory.
  const auto links = [&dir] {
    std::vector<std::string> out;
    const auto names = base::ListDir(AT_FDCWD, dir);
    for (const std::string& name : *names) {
      char text[256] = {};
      if (readlinkat(AT_FDCWD, (dir + "/" + name).c_str(), text,
                     sizeof(text) - 1) > 0) {
        out.push_back(text);
      }
    }
    return out;
  };
  EXPECT_TRUE(Eventually([&] { return links().size() == 12; }))
      << testing::PrintToString(links());
  KillAndAwait(launched);
}

TEST_F(ShimSecurity, EXE_4_WorkingDirThroughDescriptorsFails) {
  for (int n = 0; n < 64; ++n) {
    for (const bool by_link : {false, true}) {
      ContainerLaunch launch = Container("pwd; ls");
      const std::string target = "/proc/self/fd/" + std::to_string(n);
      if (by_link) {
        ASSERT_EQ(symlinkat(target.c_str(), launch.rootfs.get(), "wd"), 0);
      }
      launch.container()->mutable_process()->set_cwd(by_link ? "/wd" : target);
      const ContainerEnd end = Run(std::move(launch));
      ASSERT_FALSE(end.status.ok()) << n;
      EXPECT_EQ(runtime::FailedStep(end.status), "cwd");
    }
  }
}

TEST_F(ShimSecurity, EXE_4_WorkingDirIsMadeInsideTheRoot) {
  ContainerLaunch launch = Container("pwd; stat -c %a .");
  ASSERT_EQ(symlinkat("../../../../home", launch.rootfs.get(), "up"), 0);
  launch.container()->mutable_process()->set_cwd("/up/a/b");
  launch.container()->set_readonly_rootfs(true);
  EXPECT_EQ(Run(std::move(launch)).output, "/home/a/b\n755\n");
}

TEST_F(ShimSecurity, EXE_5_GroupsAreExactly) {
  for (const uint64_t extra : {uint64_t{0}, uint64_t{CLONE_NEWUSER}}) {
    Pod pod = MakePod(kUsual | extra);
    ContainerLaunch launch =
        Container("grep -E '^(Uid|Gid|Groups)' /proc/self/status", &pod);
    shim::v1::Process* process = launch.container()->mutable_process();
    process->set_uid(1000);
    process->set_gid(2000);
    for (const uint32_t g : {2000, 3000, 4000}) process->add_groups(g);
    EXPECT_EQ(Run(std::move(launch)).output,
              "Uid:\t1000\t1000\t1000\t1000\nGid:\t2000\t2000\t2000\t2000\n"
              "Groups:\t2000 3000 4000 \n");
    DropPod(&pod);
  }
}

TEST_F(ShimSecurity, EXE_6_CapabilitiesAndNoNewPrivs) {
  constexpr uint64_t kDefault = 0xa80425fb;
  const struct {
    uint32_t uid;
    uint64_t bounding;
    uint64_t ambient;
    bool no_new_privs;
    const char* effective;
  } kProfiles[] = {
      {0, kDefault, 0, false, "00000000a80425fb"},
      {0, 0, 0, true, "0000000000000000"},
      {1000, kDefault, 0, false, "0000000000000000"},
      {1000, kDefault, 1 << 10, false, "0000000000000400"},
      {1000, kDefault, 0, true, "0000000000000000"},
      {0, 1 << 10, 0, true, "0000000000000400"},
  };
  for (const uint64_t extra : {uint64_t{0}, uint64_t{CLONE_NEWUSER}}) {
    Pod pod = MakePod(kUsual | extra);
    for (const auto& p : kProfiles) {
      const auto fill = [&p](shim::v1::Process* process) {
        process->set_uid(p.uid);
        process->set_cap_bounding(p.bounding);
        process->set_cap_effective(p.bounding);
        process->set_cap_ambient(p.ambient);
        process->set_no_new_privs(p.no_new_privs);
      };
      ContainerLaunch launch = Container("exec sleep 1000", &pod);
      fill(launch.container()->mutable_process());
      const runtime::Launched launched = Start(&launch);
      FdList fds;
      ExecPipes pipes;
      auto request =
          ExecRequest(launched, {"sleep", "1000"}, extra != 0, &fds, &pipes);
      fill(request.mutable_exec()->mutable_process());
      auto session = launcher().LaunchExec(request, fds.Numbers());
      ASSERT_TRUE(session.ok()) << session.status();
      char bounding[20];
      snprintf(bounding, sizeof(bounding), "%016lx", p.bounding);
      char ambient[20];
      snprintf(ambient, sizeof(ambient), "%016lx", p.ambient);
      for (const pid_t pid :
           {launched.process.pid, session->launched().process.pid}) {
        EXPECT_EQ(StatusField(pid, "CapBnd"), bounding);
        EXPECT_EQ(StatusField(pid, "CapEff"), p.effective);
        EXPECT_EQ(StatusField(pid, "CapPrm"), p.effective);
        EXPECT_EQ(StatusField(pid, "CapInh"), ambient);
        EXPECT_EQ(StatusField(pid, "CapAmb"), ambient);
        EXPECT_EQ(StatusField(pid, "NoNewPrivs"), p.no_new_privs ? "1" : "0");
      }
      KillAndAwait(launched);
    }
    DropPod(&pod);
  }
}

// No security module of this host takes the labels: the start fails at that
// step and the program never runs, nor does an exec session's.
TEST_F(ShimSecurity, EXE_8_ALabelThatCannotBeAppliedEndsTheStart) {
  if (access("/sys/kernel/security/apparmor/profiles", F_OK) == 0 ||
      access("/sys/fs/selinux/enforce", F_OK) == 0) {
    GTEST_SKIP() << "the host has a security module that might take them";
  }
  const auto label = [](bool apparmor, shim::v1::Process* process) {
    if (apparmor) {
      process->set_apparmor_profile("no-such-profile");
    } else {
      process->set_selinux_label("system_u:system_r:container_t:s0");
    }
  };
  ContainerLaunch good = Container("exec sleep 1000");
  const runtime::Launched launched = Start(&good);
  for (const bool apparmor : {true, false}) {
    ContainerLaunch launch = Container("echo it ran");
    label(apparmor, launch.container()->mutable_process());
    const ContainerEnd end = Run(std::move(launch));
    ASSERT_FALSE(end.status.ok());
    EXPECT_EQ(runtime::FailedStep(end.status), "labels") << end.status;
    EXPECT_EQ(end.output, "");
    FdList fds;
    ExecPipes pipes;
    auto request =
        ExecRequest(launched, {"echo", "it ran"}, false, &fds, &pipes);
    label(apparmor, request.mutable_exec()->mutable_process());
    auto session = launcher().LaunchExec(request, fds.Numbers());
    ASSERT_FALSE(session.ok());
    EXPECT_EQ(runtime::FailedStep(session.status()), "labels");
  }
  KillAndAwait(launched);
}

// A key that only those see who possess the session keyring the shim was
// started with.
TEST_F(ShimSecurity, EXE_9_SessionKeyringIsFresh) {
  constexpr unsigned long kPossessorOnly = 0x3f000000;  // keyctl_setperm(3)
  ASSERT_GT(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr), 0);
  const long key = syscall(SYS_add_key, "user", "warren-outside", "x", 1,
                           KEY_SPEC_SESSION_KEYRING);
  ASSERT_GT(key, 0);
  ASSERT_EQ(syscall(SYS_keyctl, KEYCTL_SETPERM, key, kPossessorOnly), 0);
  ASSERT_NE(Slurp(AT_FDCWD, "/proc/keys").find("warren-outside"),
            std::string::npos);
  const std::string look = "grep -c warren-outside /proc/keys; true";
  EXPECT_EQ(RunScript(look).output, "0\n");
  ContainerLaunch launch = Container("exec sleep 1000");
  const runtime::Launched launched = Start(&launch);
  ExecPipes pipes;
  absl::StatusOr<runtime::ExecSession> session = absl::UnknownError("");
  {
    FdList fds;
    auto request =
        ExecRequest(launched, {"sh", "-c", look}, false, &fds, &pipes);
    session = launcher().LaunchExec(request, fds.Numbers());
  }
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ(Drain(pipes.out.get()), "0\n");
  EXPECT_TRUE(session->Wait(InTime()).ok());
  KillAndAwait(launched);
}

}  // namespace
}  // namespace warren::test
