// The user namespace: root inside, nobody outside.
#include <ctime>
#include <string>
#include <utility>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

constexpr uint32_t kUserStart = 3 * 65536;

class UserNamespaceTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    pod_ = Pod("pod");
    UseUserNamespace(NamespaceOptions(&pod_), kUserStart);
    pod_id_ = RunPod(pod_);
  }
  static cri::ContainerConfig Mapped(cri::ContainerConfig config) {
    UseUserNamespace(NamespaceOptions(&config), kUserStart);
    return config;
  }
  std::string RunMapped(const cri::ContainerConfig& config) {
    return Run(pod_id_, pod_, Mapped(config));
  }

  cri::PodSandboxConfig pod_;
  std::string pod_id_;
};

TEST_F(UserNamespaceTest, RootInsideIsAnUnprivilegedUserOutside) {
  const std::string id = RunMapped(IdleConfig("main"));
  EXPECT_EQ(ShellOutput(id, "id -u; id -g"), "0\n0\n");
  EXPECT_EQ(ShellOutput(id, "tr -s ' ' </proc/self/uid_map"),
            " 0 196608 65536\n");
  const pid_t pid = HostPid(pod_id_, id);
  EXPECT_EQ(ProcessStatus(pid, "Uid"), "196608 196608 196608 196608");
  EXPECT_EQ(ProcessStatus(pid, "Gid"), "196608 196608 196608 196608");
  EXPECT_NE(NamespaceInode(pid, "user"), NamespaceInode(getpid(), "user"));
}

TEST_F(UserNamespaceTest, OtherUsersAreShiftedToo) {
  cri::ContainerConfig config = IdleConfig("main");
  config.mutable_linux()
      ->mutable_security_context()
      ->mutable_run_as_user()
      ->set_value(1000);
  const std::string id = RunMapped(config);
  EXPECT_EQ(ShellOutput(id, "id -u"), "1000\n");
  EXPECT_EQ(ProcessStatus(HostPid(pod_id_, id), "Uid"),
            "197608 197608 197608 197608");
}

// Nobody is such a user: said at creation, with the id.
TEST_F(UserNamespaceTest, IdsThatAreNotMappedAreRefused) {
  using Security = cri::LinuxContainerSecurityContext;
  const std::pair<const char*, void (*)(Security*)> cases[] = {
      {"uid 65536",
       [](Security* s) { s->mutable_run_as_user()->set_value(65536); }},
      {"gid 70000",
       [](Security* s) {
         s->mutable_run_as_user()->set_value(1);
         s->mutable_run_as_group()->set_value(70000);
       }},
      {"group 80000", [](Security* s) { s->add_supplemental_groups(80000); }}};
  for (const auto& [what, change] : cases) {
    cri::ContainerConfig config = Mapped(IdleConfig("main"));
    change(config.mutable_linux()->mutable_security_context());
    const absl::Status status =
        client().CreateContainer(pod_id_, config, pod_).status();
    EXPECT_CODE(status, kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(what));
  }
}

TEST_F(UserNamespaceTest, TheImageBelongsToRootInside) {
  const std::string id = RunMapped(IdleConfig("main"));
  EXPECT_EQ(ShellOutput(id, "stat -c '%u:%g' /bin/busybox /bin /etc"),
            "0:0\n0:0\n0:0\n");
  ShellOutput(id, "echo x > /made; chmod 700 /bin/busybox; mkdir /directory");
  EXPECT_EQ(ShellOutput(id, "stat -c '%u:%g' /made /directory"), "0:0\n0:0\n");
}

TEST_F(UserNamespaceTest, ItsFilesAndNamespacesBelongToIt) {
  const std::string id = RunMapped(IdleConfig("main"));
  EXPECT_EQ(ShellOutput(id,
                        "stat -c '%u' /etc/hosts /etc/hostname "
                        "/etc/resolv.conf /dev/shm /proc/1/fd/1"),
            "0\n0\n0\n0\n0\n");
  EXPECT_EQ(ShellOutput(id, "echo out > /dev/stdout"), "out\n");
  EXPECT_EQ(ExitCodeOf(id, {"sh", "-c", "echo e > /proc/self/fd/2"}), 0);
  const auto view = client().InspectPodSandbox(pod_id_);
  ASSERT_TRUE(view.ok()) << view.status();
  uint64_t user = 0;
  for (const auto& ns : view->pod().namespaces()) {
    if (ns.kind() == "user") user = ns.inode();
  }
  ASSERT_NE(user, 0u);
  for (const auto& ns : view->pod().namespaces()) {
    if (ns.kind() != "net" && ns.kind() != "ipc" && ns.kind() != "uts") {
      continue;
    }
    EXPECT_EQ(ns.owner_user_inode(), user) << ns.kind();
  }
  ASSERT_EQ(view->pod().uid_mappings_size(), 1);
  EXPECT_EQ(view->pod().uid_mappings(0).host_id(), kUserStart);
}

TEST_F(UserNamespaceTest, PowerInsideIsNoneOutside) {
  cri::ContainerConfig config = IdleConfig("main");
  auto* capabilities = config.mutable_linux()
                           ->mutable_security_context()
                           ->mutable_capabilities();
  capabilities->add_add_capabilities("ALL");
  const std::string secret = daemon().directory() + "/secret";
  ASSERT_TRUE(WriteHostFile(secret, "root only", 0600));
  AddMount(&config, secret, "/secret", false);
  const std::string id = RunMapped(config);
  // The pod's network is its own to change …
  EXPECT_EQ(ShellOutput(id, "ip link add x type bridge && echo made"),
            "made\n");
  // … the host's files, devices and clocks are not.
  EXPECT_NE(ExitCodeOf(id, {"cat", "/secret"}), 0);
  EXPECT_NE(ExitCodeOf(id, {"mknod", "/d", "b", "8", "0"}), 0);
  ShellOutput(id, "date -s 2001-01-01 2>/dev/null; true");
  EXPECT_GT(time(nullptr), 1700000000) << "year 2023";
  EXPECT_NE(ExitCodeOf(id, {"sh", "-c", "echo 1 >/proc/sys/kernel/panic"}), 0);
}

TEST_F(UserNamespaceTest, PidModePodWorksInsideToo) {
  cri::PodSandboxConfig pod = Pod("shared");
  UseUserNamespace(NamespaceOptions(&pod), 5 * 65536);
  NamespaceOptions(&pod)->set_pid(cri::POD);
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = ShellConfig("main", "exec sleep 1000");
  NamespaceOptions(&config)->set_pid(cri::POD);
  UseUserNamespace(NamespaceOptions(&config), 5 * 65536);
  const std::string id = Run(pod_id, pod, config);
  EXPECT_THAT(ShellOutput(id, "ps -o user,args"),
              testing::HasSubstr("sleep 1000"));
  EXPECT_EQ(ProcessStatus(HostPid(pod_id, id), "Uid"),
            "327680 327680 327680 327680");
}

TEST_F(UserNamespaceTest, SysctlsOfItsNetworkCanBeSet) {
  cri::PodSandboxConfig pod = Pod("sysctls");
  UseUserNamespace(NamespaceOptions(&pod), 6 * 65536);
  (*pod.mutable_linux()
        ->mutable_sysctls())["net.ipv4.ip_unprivileged_port_start"] = "80";
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = IdleConfig("main");
  UseUserNamespace(NamespaceOptions(&config), 6 * 65536);
  const std::string id = Run(pod_id, pod, config);
  EXPECT_EQ(
      ShellOutput(id, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"),
      "80\n");
}

TEST_F(UserNamespaceTest, TwoPodsDoNotShareUsers) {
  cri::PodSandboxConfig other = Pod("other");
  UseUserNamespace(NamespaceOptions(&other), 4 * 65536);
  const std::string other_id = RunPod(other);
  cri::ContainerConfig config = IdleConfig("main");
  UseUserNamespace(NamespaceOptions(&config), 4 * 65536);
  const std::string a = RunMapped(IdleConfig("main"));
  const std::string b = Run(other_id, other, config);
  EXPECT_NE(ProcessStatus(HostPid(pod_id_, a), "Uid"),
            ProcessStatus(HostPid(other_id, b), "Uid"));
  EXPECT_NE(NamespaceInode(HostPid(pod_id_, a), "user"),
            NamespaceInode(HostPid(other_id, b), "user"));
}

}  // namespace
}  // namespace warren::test
