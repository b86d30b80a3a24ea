// mnt, uts, ipc, cgroup and time: each seen from inside and from outside.
#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/node_namespace.h"
#include "tests/support/require.h"

namespace warren::test {
namespace {

class NamespacesTest : public CriTest {
 protected:
  // An idle container with the probe at /probe.
  static cri::ContainerConfig WithProbe(const std::string& name) {
    cri::ContainerConfig config = IdleConfig(name);
    AddMount(&config, ProbePath(), "/probe", true);
    return config;
  }
  static uint64_t Own(const std::string& kind) {
    return NamespaceInode(getpid(), kind);
  }
};

TEST_F(NamespacesTest, MntAMountInsideIsUnseenOutside) {
  cri::ContainerConfig config = IdleConfig("main");
  config.mutable_linux()
      ->mutable_security_context()
      ->mutable_capabilities()
      ->add_add_capabilities("SYS_ADMIN");
  std::string pod_id;
  const std::string id = RunAlone(config, &pod_id);
  ShellOutput(id, "mkdir /m && mount -t tmpfs secret /m && touch /m/file");
  EXPECT_THAT(ShellOutput(id, "cat /proc/mounts"),
              testing::HasSubstr("secret /m tmpfs"));
  EXPECT_THAT(ReadHostFile("/proc/self/mounts"),
              testing::Not(testing::HasSubstr("secret")));
  EXPECT_NE(NamespaceInode(HostPid(pod_id, id), "mnt"), Own("mnt"));
  // And the other way round: nothing of the node's tree is inside.
  EXPECT_THAT(ShellOutput(id, "cat /proc/mounts; ls /"),
              testing::Not(testing::HasSubstr(daemon().directory())));
  EXPECT_EQ(ShellOutput(id, "test -e " + daemon().directory() + "; echo $?"),
            "1\n")
      << "the old root is gone";
}

TEST_F(NamespacesTest, MntTwoContainersOfAPodHaveTheirOwnRoots) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const std::string a = Run(pod_id, pod, IdleConfig("a"));
  const std::string b = Run(pod_id, pod, IdleConfig("b"));
  ShellOutput(a, "echo only-a > /file");
  EXPECT_EQ(ShellOutput(b, "test -e /file; echo $?"), "1\n");
  EXPECT_NE(NamespaceInode(HostPid(pod_id, a), "mnt"),
            NamespaceInode(HostPid(pod_id, b), "mnt"));
}

TEST_F(NamespacesTest, MntPropagationIsWhatTheRequestSays) {
  const std::string shared = daemon().directory() + "/shared";
  ASSERT_EQ(RunCommand({"mkdir", "-p", shared}).exit_code, 0);
  ASSERT_EQ(RunCommand({"mount", "-t", "tmpfs", "src", shared}).exit_code, 0);
  ASSERT_EQ(RunCommand({"mount", "--make-shared", shared}).exit_code, 0);
  cri::ContainerConfig config = IdleConfig("main");
  for (const auto& [mode, path] :
       std::vector<std::pair<cri::MountPropagation, std::string>>{
           {cri::PROPAGATION_PRIVATE, "/private"},
           {cri::PROPAGATION_HOST_TO_CONTAINER, "/slave"}}) {
    AddMount(&config, shared, path, false);
    config.mutable_mounts(config.mounts_size() - 1)->set_propagation(mode);
  }
  const std::string id = RunAlone(config);
  ASSERT_EQ(RunCommand({"mkdir", shared + "/later"}).exit_code, 0);
  ASSERT_EQ(
      RunCommand({"mount", "-t", "tmpfs", "late", shared + "/later"}).exit_code,
      0);
  ASSERT_TRUE(WriteHostFile(shared + "/later/file", "x"));
  EXPECT_EQ(ShellOutput(id,
                        "test -e /slave/later/file; echo $?; "
                        "test -e /private/later/file; echo $?"),
            "0\n1\n");
  RemoveAllPods();
  EXPECT_EQ(RunCommand({"umount", shared + "/later"}).exit_code, 0);
  EXPECT_EQ(RunCommand({"umount", shared}).exit_code, 0);
}

TEST_F(NamespacesTest, UtsHostnamesAreThePods) {
  cri::PodSandboxConfig one = Pod("one");
  cri::PodSandboxConfig two = Pod("two");
  two.clear_hostname();
  const std::string one_id = RunPod(one);
  const std::string a = Run(one_id, one, IdleConfig("main"));
  const std::string two_id = RunPod(two);
  const std::string b = Run(two_id, two, IdleConfig("main"));
  EXPECT_EQ(ShellOutput(a, "uname -n"), "one\n");
  EXPECT_EQ(ShellOutput(b, "uname -n"), two_id.substr(0, 12) + "\n")
      << "without a name: the start of the id";
  EXPECT_EQ(RunCommand({"uname", "-n"}).out, "warren-test-node\n");
  EXPECT_NE(NamespaceInode(HostPid(one_id, a), "uts"), Own("uts"));
}

TEST_F(NamespacesTest, IpcObjectsAreSharedInThePodAndUnseenElsewhere) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const std::string a = Run(pod_id, pod, WithProbe("a"));
  const std::string b = Run(pod_id, pod, WithProbe("b"));
  const std::string other = RunAlone(WithProbe("other"));
  Output(a, {"/probe", "ipc-make", "4660"});
  EXPECT_EQ(Output(a, {"/probe", "ipc-has", "4660"}), "yes\n");
  EXPECT_EQ(Output(b, {"/probe", "ipc-has", "4660"}), "yes\n");
  EXPECT_EQ(Output(other, {"/probe", "ipc-has", "4660"}), "no\n");
  EXPECT_EQ(shmget(4660, 0, 0), -1) << "outside";
  // POSIX shared memory likewise.
  ShellOutput(a, "echo shared > /dev/shm/file");
  EXPECT_EQ(ShellOutput(b, "cat /dev/shm/file"), "shared\n");
  EXPECT_EQ(ShellOutput(other, "ls /dev/shm | wc -l"), "0\n");
  EXPECT_THAT(
      ShellOutput(a, "grep /dev/shm /proc/mounts"),
      testing::AllOf(testing::HasSubstr("nosuid"), testing::HasSubstr("nodev"),
                     testing::HasSubstr("noexec"),
                     testing::HasSubstr("size=65536k")));
}

TEST_F(NamespacesTest, IpcOfTheNodeWhenAsked) {
  cri::PodSandboxConfig pod = Pod("pod");
  NamespaceOptions(&pod)->set_ipc(cri::NODE);
  const int made = shmget(22136, 4096, IPC_CREAT | 0600);
  ASSERT_GE(made, 0);
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = WithProbe("main");
  NamespaceOptions(&config)->set_ipc(cri::NODE);
  const std::string id = Run(pod_id, pod, config);
  EXPECT_EQ(Output(id, {"/probe", "ipc-has", "22136"}), "yes\n");
  EXPECT_EQ(NamespaceInode(HostPid(pod_id, id), "ipc"), Own("ipc"));
  shmctl(made, IPC_RMID, nullptr);
}

TEST_F(NamespacesTest, CgroupRootIsHidden) {
  WARREN_REQUIRE(MissingNamespace("cgroup"));
  std::string pod_id;
  const std::string id = RunAlone(IdleConfig("main"), &pod_id);
  const pid_t pid = HostPid(pod_id, id);
  EXPECT_NE(NamespaceInode(pid, "cgroup"), Own("cgroup"));
  // Inside, every hierarchy starts at its own cgroup; outside it shows where
  // that is.
  const std::string inside = ShellOutput(id, "cat /proc/1/cgroup");
  EXPECT_THAT(inside, testing::Not(testing::HasSubstr("warren-test")));
  EXPECT_THAT(inside, testing::AnyOf(testing::HasSubstr("pids:/\n"),  // v1
                                     testing::HasSubstr("0::/\n")));
  EXPECT_THAT(ReadHostFile("/proc/" + std::to_string(pid) + "/cgroup"),
              testing::HasSubstr(CgroupParent() + "/" + id));
  EXPECT_NE(ExitCodeOf(id, {"sh", "-c", "mkdir /sys/fs/cgroup/x"}), 0)
      << "and is read-only";
}

// Boot time and monotonic clock in nanoseconds.
std::pair<int64_t, int64_t> Clocks(const std::string& text) {
  const std::vector<std::string> words =
      absl::StrSplit(absl::StripAsciiWhitespace(text), ' ');
  std::pair<int64_t, int64_t> clocks;
  if (words.size() != 2 || !absl::SimpleAtoi(words[0], &clocks.first) ||
      !absl::SimpleAtoi(words[1], &clocks.second)) {
    ADD_FAILURE() << "no clocks: " << text;
  }
  return clocks;
}

int64_t Now(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

TEST_F(NamespacesTest, TimeClocksAreShiftedForContainersAndExecSessions) {
  WARREN_REQUIRE(MissingNamespace("time"));
  cri::PodSandboxConfig pod = Pod("pod");
  (*pod.mutable_annotations())["warren.dev/time-offset.boottime"] = "864000.25";
  (*pod.mutable_annotations())["warren.dev/time-offset.monotonic"] = "3600";
  const std::string pod_id = RunPod(pod);
  const std::string id = Run(pod_id, pod, WithProbe("main"));
  // The program itself, through its log, and an exec session.
  cri::ContainerConfig once = ContainerConfig("once", {"/probe", "clocks"});
  AddMount(&once, ProbePath(), "/probe", true);
  const std::string logger = Run(pod_id, pod, once);
  WaitExited(logger);
  const std::string line = ReadHostFile(StatusOf(logger).log_path());
  for (const std::string& text :
       {Output(id, {"/probe", "clocks"}),
        line.substr(line.find(" F ") == std::string::npos
                        ? 0
                        : line.find(" F ") + 3)}) {
    const auto [boottime, monotonic] = Clocks(text);
    EXPECT_NEAR(static_cast<double>(boottime - Now(CLOCK_BOOTTIME)) / 1e9,
                864000.25, 20);
    EXPECT_NEAR(static_cast<double>(monotonic - Now(CLOCK_MONOTONIC)) / 1e9,
                3600, 20);
  }
  EXPECT_NE(NamespaceInode(HostPid(pod_id, id), "time"), Own("time"));
  const auto view = client().InspectPodSandbox(pod_id);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->pod().boottime_offset_ns(), 864000250000000);
  EXPECT_EQ(view->pod().monotonic_offset_ns(), 3600000000000);
}

TEST_F(NamespacesTest, TimeWithoutAnnotationsIsTheNodes) {
  std::string pod_id;
  const std::string id = RunAlone(WithProbe("main"), &pod_id);
  const auto [boottime, monotonic] = Clocks(Output(id, {"/probe", "clocks"}));
  EXPECT_NEAR(static_cast<double>(boottime - Now(CLOCK_BOOTTIME)) / 1e9, 0, 20);
  EXPECT_NEAR(static_cast<double>(monotonic - Now(CLOCK_MONOTONIC)) / 1e9, 0,
              20);
}

}  // namespace
}  // namespace warren::test
