// Sandbox mode: a pod's namespaces made, set up, pinned; the pod init.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "tests/kernel/shim_cgroup.h"
#include "tests/kernel/shim_host.h"

namespace warren::test {
namespace {

constexpr uint64_t kNewTime = 0x80;
constexpr uint64_t kUsual =
    CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | kNewTime;

class ShimSandbox : public ShimTest {
 protected:
  static std::vector<std::string> PinNames(const base::UniqueFd& dir) {
    auto names = base::ListDir(dir.get(), ".");
    EXPECT_TRUE(names.ok());
    std::sort(names->begin(), names->end());
    return *names;
  }
  static uint64_t OwnerInode(int ns_fd) {
    const base::UniqueFd owner(ioctl(ns_fd, NS_GET_USERNS));
    return Inode(owner.get());
  }
};

TEST_F(ShimSandbox, PinsNamespacesOfAnOrdinaryPod) {
  Pod pod = MakePod(kUsual);
  EXPECT_EQ(pod.launched.process.pid, 0);
  EXPECT_EQ(PinNames(pod.dir),
            (std::vector<std::string>{"ipc", "net", "time", "uts"}));
  for (const char* name : {"ipc", "net", "uts", "time"}) {
    const base::UniqueFd pin = pod.OpenPin(name);
    ASSERT_TRUE(pin.valid()) << name;
    EXPECT_NE(Inode(pin.get()), NamespaceInode(getpid(), name)) << name;
  }
  DropPod(&pod);
}

TEST_F(ShimSandbox, UserNamespaceOwnsTheOthers) {
  Pod pod = MakePod(kUsual | CLONE_NEWUSER | CLONE_NEWPID);
  const base::UniqueFd user = pod.OpenPin("user");
  ASSERT_TRUE(user.valid());
  for (const char* name : {"ipc", "net", "uts", "time", "pid"}) {
    const base::UniqueFd pin = pod.OpenPin(name);
    ASSERT_TRUE(pin.valid()) << name;
    EXPECT_EQ(OwnerInode(pin.get()), Inode(user.get())) << name;
  }
  DropPod(&pod);
}

TEST_F(ShimSandbox, HolderIsALockedDownPidOne) {
  Pod pod = MakePod(kUsual | CLONE_NEWPID);
  const pid_t pid = pod.launched.process.pid;
  ASSERT_GT(pid, 0);
  EXPECT_EQ(*base::StartTime(pid), pod.launched.process.start_time);
  EXPECT_EQ(StatusField(pid, "Name"), "pod-init");
  EXPECT_EQ(StatusField(pid, "CapEff"), "0000000000000000");
  EXPECT_EQ(StatusField(pid, "CapPrm"), "0000000000000000");
  EXPECT_EQ(StatusField(pid, "NoNewPrivs"), "1");
  EXPECT_EQ(StatusField(pid, "NSpid"), std::to_string(pid) + "\t1");
  const std::string proc = "/proc/" + std::to_string(pid);
  EXPECT_TRUE(Eventually([&] {  // it closes its socket when told to go on
    auto fds = base::ListDir(AT_FDCWD, proc + "/fd");
    return fds.ok() && fds->empty();
  }));
  // Its root is one empty read-only tmpfs: nothing of the host is behind it.
  auto root = base::ListDir(AT_FDCWD, proc + "/root/");
  ASSERT_TRUE(root.ok()) << root.status();
  EXPECT_TRUE(root->empty());
  const std::string mounts = Slurp(AT_FDCWD, proc + "/mountinfo");
  EXPECT_EQ(std::count(mounts.begin(), mounts.end(), '\n'), 1) << mounts;
  // The first word of argv, padded to the length it had.
  EXPECT_EQ(Slurp(AT_FDCWD, proc + "/cmdline").substr(0, 8), "pod-init");
  EXPECT_EQ(Inode(pod.OpenPin("pid").get()), NamespaceInode(pid, "pid"));
  EXPECT_EQ(Inode(pod.OpenPin("time").get()), NamespaceInode(pid, "time"));
  DropPod(&pod);
}

TEST_F(ShimSandbox, HolderReapsOrphansAndIgnoresSignals) {
  Pod pod = MakePod(kUsual | CLONE_NEWPID);
  // Fifty orphans that end at once, then a look at who is left.
  const ContainerEnd end = RunScript(
      "for i in $(seq 50); do (true & ) ; done; kill -TERM 1; kill -HUP 1;"
      "kill -KILL 1; kill -CHLD 1; sleep 0.2; ps | grep -c ' [Z] '; "
      "test -d /proc/1 && echo alive",
      &pod);
  EXPECT_EQ(end.output, "0\nalive\n");
  DropPod(&pod);
}

TEST_F(ShimSandbox, HostnameSysctlsAndShm) {
  for (const uint64_t extra : {uint64_t{0}, uint64_t{CLONE_NEWUSER}}) {
    FdList fds;
    Pod pod;
    pod.user = extra != 0;
    pod.request = SandboxRequest(kUsual | extra, &fds, &pod.dir);
    shim::v1::SandboxLaunch* sandbox = pod.request.mutable_sandbox();
    sandbox->set_hostname("burrow");
    sandbox->set_shm_size_bytes(1 << 20);
    for (const auto& [name, value] :
         {std::pair<const char*, const char*>{"kernel.shm_rmid_forced", "1"},
          {"net.ipv4.ip_unprivileged_port_start", "0"},
          {"fs.mqueue.msg_max", "100"},
          {"net/ipv4/conf/lo/arp_ignore", "2"}}) {
      shim::v1::Sysctl* sysctl = sandbox->add_sysctls();
      sysctl->set_name(name);
      sysctl->set_value(value);
    }
    auto launched = launcher().LaunchSandbox(pod.request, fds.Numbers());
    ASSERT_TRUE(launched.ok()) << launched.status();
    const ContainerEnd end = RunScript(
        "hostname; cat /proc/sys/kernel/shm_rmid_forced "
        "/proc/sys/net/ipv4/ip_unprivileged_port_start "
        "/proc/sys/fs/mqueue/msg_max /proc/sys/net/ipv4/conf/lo/arp_ignore",
        &pod);
    EXPECT_EQ(end.output, "burrow\n1\n0\n100\n2\n");

    struct stat st;
    ASSERT_EQ(fstatat(pod.dir.get(), "shm", &st, 0), 0);
    EXPECT_EQ(st.st_mode & 07777, 01777u);
    EXPECT_EQ(st.st_uid, extra != 0 ? kHostIds : 0);
    const base::UniqueFd shm = pod.OpenPin("shm");
    struct statfs fs;
    ASSERT_EQ(fstatfs(shm.get(), &fs), 0);
    EXPECT_EQ(fs.f_blocks * static_cast<uint64_t>(fs.f_bsize), 1u << 20);
    EXPECT_EQ(fs.f_flags & (ST_NOSUID | ST_NODEV | ST_NOEXEC),
              ST_NOSUID | ST_NODEV | ST_NOEXEC);
    DropPod(&pod);
  }
  // The host kept its own.
  EXPECT_NE(Slurp(AT_FDCWD, "/proc/sys/kernel/hostname"), "burrow\n");
}

TEST_F(ShimSandbox, TimeOffsetsShiftTheClocks) {
  FdList fds;
  Pod pod;
  pod.request = SandboxRequest(kUsual, &fds, &pod.dir);
  constexpr int64_t kDay = 86400ll * 1'000'000'000;
  pod.request.mutable_sandbox()->set_boottime_offset_ns(10 * kDay +
                                                        500'000'000);
  pod.request.mutable_sandbox()->set_monotonic_offset_ns(-500'000'000);
  auto launched = launcher().LaunchSandbox(pod.request, fds.Numbers());
  ASSERT_TRUE(launched.ok()) << launched.status();
  const ContainerEnd end =
      RunScript("cat /proc/self/timens_offsets; cat /proc/uptime", &pod);
  std::istringstream in(end.output);
  std::string clock;
  long long seconds = 0;
  long long ns = 0;
  in >> clock >> seconds >> ns;
  EXPECT_EQ(clock, "monotonic");
  EXPECT_EQ(seconds, -1);
  EXPECT_EQ(ns, 500'000'000);
  in >> clock >> seconds >> ns;
  EXPECT_EQ(clock, "boottime");
  EXPECT_EQ(seconds, 864000);
  double uptime = 0;
  in >> uptime;
  EXPECT_GT(uptime, 864000);
  DropPod(&pod);
}

TEST_F(ShimSandbox, BadSysctlFailsAndLeavesNothing) {
  for (const char* name :
       {"kernel.no_such_thing", "net..x", "../../etc/passwd", "",
        "net.ipv4/../../../self/oom_score_adj", "kernel.hostname\n"}) {
    for (const uint64_t extra :
         {uint64_t{0}, uint64_t{CLONE_NEWUSER | CLONE_NEWPID}}) {
      FdList fds;
      base::UniqueFd dir;
      auto request = SandboxRequest(kUsual | extra, &fds, &dir);
      request.mutable_sandbox()->set_shm_size_bytes(4096);
      shim::v1::Sysctl* sysctl = request.mutable_sandbox()->add_sysctls();
      sysctl->set_name(name);
      sysctl->set_value("1");
      auto launched = launcher().LaunchSandbox(request, fds.Numbers());
      ASSERT_FALSE(launched.ok());
      EXPECT_EQ(runtime::FailedStep(launched.status()), "sysctl") << name;
      EXPECT_TRUE(PinNames(dir).empty());
      const std::string children =
          "/proc/self/task/" + std::to_string(getpid()) + "/children";
      EXPECT_EQ(Slurp(AT_FDCWD, children), "");
    }
  }
}

TEST_F(ShimSandbox, FailureAfterPinsUnmountsThem) {
  FdList fds;
  base::UniqueFd dir;
  auto request =
      SandboxRequest(kUsual | CLONE_NEWUSER | CLONE_NEWPID, &fds, &dir);
  request.mutable_sandbox()->set_shm_size_bytes(4096);
  // The name of the last pin is taken.
  ASSERT_EQ(mkdirat(dir.get(), "shm", 0700), 0);
  auto launched = launcher().LaunchSandbox(request, fds.Numbers());
  ASSERT_FALSE(launched.ok());
  EXPECT_EQ(runtime::FailedStep(launched.status()), "pin");
  EXPECT_EQ(base::GetErrno(launched.status()), EEXIST);
  EXPECT_EQ(PinNames(dir), std::vector<std::string>{"shm"});
}

TEST_F(ShimSandbox, HolderEntersItsCgroup) {
  const TestCgroup cgroup("pids");
  if (!cgroup.missing().empty()) GTEST_SKIP() << cgroup.missing();
  FdList fds;
  base::UniqueFd dir;
  auto request =
      SandboxRequest(kUsual | CLONE_NEWPID | CLONE_NEWUSER, &fds, &dir);
  cgroup.Place(request.mutable_sandbox()->mutable_pod_init_cgroup(), &fds);
  auto launched = launcher().LaunchSandbox(request, fds.Numbers());
  ASSERT_TRUE(launched.ok()) << launched.status();
  EXPECT_EQ(cgroup.Read("cgroup.procs"),
            std::to_string(launched->process.pid) + "\n");
  auto pidfd = base::OpenProcess(launched->process);
  ASSERT_TRUE(base::SendSignal(pidfd->get(), SIGKILL).ok());
}

}  // namespace
}  // namespace warren::test
