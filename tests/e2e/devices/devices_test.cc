// Devices of the node by path, and all of them for a privileged container.
#include <sys/mount.h>

#include "tests/e2e/devices/device_test_base.h"

namespace warren::test {
namespace {

constexpr uint32_t kStart = 3 * 65536;

class DevicesTest : public DeviceTest {
 protected:
  static cri::LinuxContainerSecurityContext* Security(
      cri::ContainerConfig* config) {
    return config->mutable_linux()->mutable_security_context();
  }
  // A pod that lets its containers be privileged, and one that is.
  std::string RunPrivileged(cri::ContainerConfig config,
                            bool user_namespace = false) {
    cri::PodSandboxConfig pod = Pod("privileged");
    pod.mutable_linux()->mutable_security_context()->set_privileged(true);
    if (user_namespace) {
      UseUserNamespace(NamespaceOptions(&pod), kStart);
      UseUserNamespace(NamespaceOptions(&config), kStart);
    }
    Security(&config)->set_privileged(true);
    return Run(RunPod(pod), pod, config);
  }
};

TEST_F(DevicesTest, PermissionsAreExact) {
  cri::ContainerConfig config = IdleConfig("main");
  AddDevice(&config, Nodes() + "/loop", "/dev/mine", "r");
  const std::string id = RunAlone(config);
  EXPECT_EQ(Access(id, "/dev/mine"), "r");
  EXPECT_EQ(ShellOutput(id, "stat -c '%F %a %u:%g %t:%T' /dev/mine"),
            "block special file 666 0:0 7:7\n");
  // A node may be made, whatever it is, but opens only by that rule.
  ShellOutput(id, "mknod /tmp/same b 7 7; mknod /tmp/other b 7 6");
  EXPECT_EQ(Access(id, "/tmp/same"), "r");
  EXPECT_EQ(Access(id, "/tmp/other"), "");
}

TEST_F(DevicesTest, EachPermissionInEachOrder) {
  for (const auto& [asked, got] :
       {std::pair<const char*, const char*>{"w", "w"},
        {"m", ""},
        {"wr", "rw"},
        {"mrw", "rw"}}) {
    cri::ContainerConfig config = IdleConfig("main");
    AddDevice(&config, Nodes() + "/loop", "/dev/a/b/c", asked);
    EXPECT_EQ(Access(RunAlone(config), "/dev/a/b/c"), got) << asked;
    RemoveAllPods();
  }
}

TEST_F(DevicesTest, LinksAreFollowedAndAnyPlaceWillDo) {
  ASSERT_EQ(symlink("loop", (Nodes() + "/link").c_str()), 0);
  cri::ContainerConfig config = IdleConfig("main");
  AddDevice(&config, Nodes() + "/link", "/dev/mine", "rw");
  AddDevice(&config, Nodes() + "/link", "/opt/mine", "rw");
  Security(&config)->set_readonly_rootfs(true);
  const std::string id = RunAlone(config);
  EXPECT_EQ(Access(id, "/dev/mine"), "rw");
  EXPECT_EQ(Access(id, "/opt/mine"), "rw");
}

TEST_F(DevicesTest, AFolderGivesAllNodesBelow) {
  ASSERT_EQ(mkdir((Nodes() + "/sub").c_str(), 0755), 0);
  MakeNode("sub/second", 0600);
  ASSERT_EQ(symlink("/dev/kmsg", (Nodes() + "/link").c_str()), 0);
  cri::ContainerConfig config = IdleConfig("main");
  AddDevice(&config, Nodes(), "/dev/all", "r");
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id, "cd /dev/all; find . | sort"),
            ".\n./loop\n./sub\n./sub/second\n");
  EXPECT_EQ(Access(id, "/dev/all/sub/second"), "r");
}

TEST_F(DevicesTest, UserNamespacePods) {
  cri::PodSandboxConfig pod = Pod("mapped");
  UseUserNamespace(NamespaceOptions(&pod), kStart);
  cri::ContainerConfig config = IdleConfig("main");
  UseUserNamespace(NamespaceOptions(&config), kStart);
  AddDevice(&config, Nodes() + "/loop", "/dev/mine", "rw");
  const std::string id = Run(RunPod(pod), pod, config);
  EXPECT_EQ(Access(id, "/dev/mine"), "rw");
  EXPECT_EQ(ShellOutput(id, "stat -c %u /dev/mine /dev/null /dev"),
            "65534\n0\n0\n");
  EXPECT_NE(ExitCodeOf(id, {"mknod", "/dev/new", "b", "7", "7"}), 0);
}

TEST_F(DevicesTest, BadRequestsNameTheField) {
  const struct {
    std::string host;
    const char* target;
    const char* permissions;
    const char* field;
    absl::StatusCode code = absl::StatusCode::kInvalidArgument;
  } cases[] = {{"", "/dev/x", "rwm", "host_path"},
               {"dev/null", "/dev/x", "rwm", "host_path"},
               {"/dev/../dev/null", "/dev/x", "rwm", "host_path"},
               {"/etc/passwd", "/dev/x", "rwm", "host_path"},
               {Nodes() + "/missing", "/dev/x", "rwm", "host_path",
                absl::StatusCode::kFailedPrecondition},
               {"/dev/null", "", "rwm", "container_path"},
               {"/dev/null", "dev/x", "rwm", "container_path"},
               {"/dev/null", "/", "rwm", "container_path"},
               {"/dev/null", "/dev", "rwm", "container_path"},
               {"/dev/null", "/dev/pts/7", "rwm", "container_path"},
               {"/dev/null", "/dev/console", "rwm", "container_path"},
               {"/dev/null", "/proc/x", "rwm", "container_path"},
               {"/dev/null", "/sys/x", "rwm", "container_path"},
               {"/dev/null", "/dev/x", "", "permissions"},
               {"/dev/null", "/dev/x", "x", "permissions"},
               {"/dev/null", "/dev/x", "rr", "permissions"},
               {"/dev/null", "/dev/x", "r w", "permissions"}};
  for (const auto& bad : cases) {
    cri::ContainerConfig config = IdleConfig("bad");
    AddDevice(&config, "/dev/zero", "/dev/fine", "r");
    AddDevice(&config, bad.host, bad.target, bad.permissions);
    ExpectRefused(config, bad.code,
                  absl::StrCat("config.devices[1].", bad.field, ": "));
  }
}

TEST_F(DevicesTest, TwoAtOnePlaceAreRefused) {
  cri::ContainerConfig config = IdleConfig("bad");
  AddDevice(&config, "/dev/zero", "/dev/x", "r");
  AddDevice(&config, "/dev/full", "/dev/x", "r");
  ExpectRefused(config, absl::StatusCode::kInvalidArgument,
                "config.devices[1].container_path");
}

TEST_F(DevicesTest, NoNodeIsMadeInAFolderOfTheHost) {
  cri::ContainerConfig config = IdleConfig("bad");
  AddMount(&config, Nodes(), "/data", false);
  AddDevice(&config, "/dev/zero", "/data/new", "r");
  ExpectRefused(config, absl::StatusCode::kInvalidArgument, "/data/new");
  EXPECT_NE(access((Nodes() + "/new").c_str(), F_OK), 0);
}

TEST_F(DevicesTest, OwnerCanBeTheUser) {
  KillDaemon();
  const std::string usual = daemon().extra_top;
  daemon().extra_top = usual + "owner = \"user\"\n";
  StartDaemon();
  cri::ContainerConfig config = IdleConfig("main");
  AddDevice(&config, Nodes() + "/loop", "/dev/mine", "rw");
  Security(&config)->mutable_run_as_user()->set_value(1000);
  Security(&config)->mutable_run_as_group()->set_value(2000);
  ASSERT_EQ(chmod((Nodes() + "/loop").c_str(), 0600), 0);
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id, "stat -c '%a %u:%g' /dev/mine"), "600 1000:2000\n");
  EXPECT_EQ(Access(id, "/dev/mine"), "rw");
  RemoveAllPods();
  KillDaemon();
  daemon().extra_top = usual;
  StartDaemon();
}

TEST_F(DevicesTest, PrivilegedHasEveryDevice) {
  cri::ContainerConfig config = IdleConfig("main");
  AddDevice(&config, Nodes() + "/loop", "/dev/mine", "r");
  const std::string id = RunPrivileged(config);
  EXPECT_EQ(Access(id, "/dev/mine"), "rw") << "no rule narrows it";
  for (const char* path : {"/dev/kmsg", "/dev/tty1", "/dev/loop7"}) {
    struct stat st;
    if (stat(path, &st) != 0) continue;
    EXPECT_EQ(ShellOutput(id, absl::StrCat("stat -c '%t:%T' ", path)),
              absl::StrCat(absl::Hex(major(st.st_rdev)), ":",
                           absl::Hex(minor(st.st_rdev)), "\n"));
  }
  ShellOutput(id, "mknod /tmp/any b 7 6");
  EXPECT_EQ(Access(id, "/tmp/any"), "rw");
  EXPECT_EQ(ShellOutput(id, "readlink /dev/ptmx; ls /dev/pts"),
            "pts/ptmx\nptmx\n");
}

TEST_F(DevicesTest, PrivilegedIsTheWholeList) {
  cri::ContainerConfig config = IdleConfig("main");
  Security(&config)->add_masked_paths("/proc/version");
  Security(&config)->add_readonly_paths("/proc/sys");
  const std::string id = RunPrivileged(config);
  EXPECT_NE(ShellOutput(id, "cat /proc/version"), "");
  EXPECT_EQ(ShellOutput(id,
                        "awk '$2 ~ \"^/(proc|sys)\" && $4 ~ \"^ro\" {print "
                        "$2}' /proc/mounts | grep -vx /sys/fs/cgroup"
                        "; true"),
            "");
  EXPECT_EQ(ShellOutput(id, "grep Seccomp: /proc/self/status | tr -d '\\t'"),
            "Seccomp:0\n");
  EXPECT_EQ(ShellOutput(id, "sed -n 's/^CapEff:.//p' /proc/self/status"),
            ShellOutput(id, "sed -n 's/^CapBnd:.//p' /proc/self/status"));
}

TEST_F(DevicesTest, PrivilegedNeedsAPrivilegedPod) {
  cri::ContainerConfig config = IdleConfig("bad");
  Security(&config)->set_privileged(true);
  ExpectRefused(config, absl::StatusCode::kInvalidArgument,
                "config.linux.security_context.privileged");
}

TEST_F(DevicesTest, PrivilegedInAUserNamespaceIsAsFarAsTheKernelGoes) {
  cri::ContainerConfig config = IdleConfig("main");
  AddDevice(&config, Nodes() + "/loop", "/dev/mine", "rw");
  const std::string id = RunPrivileged(config, /*user_namespace=*/true);
  EXPECT_EQ(Access(id, "/dev/mine"), "rw") << "open to everybody";
  EXPECT_EQ(Access(id, "/dev/loop7"), "") << "the host's root alone";
  EXPECT_NE(ExitCodeOf(id, {"mknod", "/tmp/any", "b", "7", "7"}), 0);
}

TEST_F(DevicesTest, PrivilegedMayHaveTheHostsOwnDev) {
  cri::ContainerConfig config = IdleConfig("main");
  AddMount(&config, "/dev", "/dev", false);
  AddDevice(&config, Nodes() + "/loop", "/dev/only-here", "rw");
  const std::string id = RunPrivileged(config);
  EXPECT_EQ(ExitCodeOf(id, {"test", "-e", "/dev/only-here"}), 1);
  EXPECT_NE(access("/dev/only-here", F_OK), 0);
}

TEST_F(DevicesTest, RestartChangesNothing) {
  cri::ContainerConfig config = IdleConfig("running");
  AddDevice(&config, Nodes() + "/loop", "/dev/mine", "r");
  const cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const std::string running = Run(pod_id, pod, config);
  config.mutable_metadata()->set_name("created");
  const auto created = client().CreateContainer(pod_id, config, pod);
  ASSERT_TRUE(created.ok()) << created.status();
  KillDaemon();
  // Another device takes the path, which nobody must follow any more.
  const std::string path = Nodes() + "/loop";
  ASSERT_EQ(unlink(path.c_str()), 0);
  ASSERT_EQ(mknod(path.c_str(), S_IFCHR | 0666, makedev(1, 1)), 0);
  StartDaemon();
  ASSERT_TRUE(client().StartContainer(*created).ok());
  for (const std::string& id : {running, *created}) {
    EXPECT_EQ(ShellOutput(id, "stat -c '%t:%T' /dev/mine"), "7:7\n");
    EXPECT_EQ(Access(id, "/dev/mine"), "r");
  }
}

// What could not be made ready when the agent came back (a mount of the node
// was missing) is tried again at the start, with the same devices.
TEST_F(DevicesTest, AStartIsTriedAgainWithItsDevices) {
  const std::string shared = daemon().directory() + "/shared";
  ASSERT_EQ(mkdir(shared.c_str(), 0755), 0);
  const auto mount_it = [&] {
    return mount("shared", shared.c_str(), "tmpfs", 0, nullptr) == 0 &&
           mount(nullptr, shared.c_str(), nullptr, MS_SHARED, nullptr) == 0;
  };
  ASSERT_TRUE(mount_it());
  cri::ContainerConfig config = IdleConfig("main");
  AddDevice(&config, Nodes() + "/loop", "/dev/mine", "r");
  AddMount(&config, shared, "/v", false);
  config.mutable_mounts(0)->set_propagation(cri::PROPAGATION_HOST_TO_CONTAINER);
  const cri::PodSandboxConfig pod = Pod("pod");
  const auto id = client().CreateContainer(RunPod(pod), config, pod);
  ASSERT_TRUE(id.ok()) << id.status();
  KillDaemon();
  ASSERT_EQ(umount2(shared.c_str(), MNT_DETACH), 0);
  StartDaemon();
  ASSERT_TRUE(mount_it());
  const absl::Status started = client().StartContainer(*id);
  EXPECT_TRUE(started.ok()) << started;
  EXPECT_EQ(ShellOutput(*id, "stat -c '%t:%T' /dev/mine"), "7:7\n");
  EXPECT_EQ(Access(*id, "/dev/mine"), "r");
  RemoveAllPods();
  EXPECT_EQ(umount2(shared.c_str(), MNT_DETACH), 0);
  EXPECT_EQ(rmdir(shared.c_str()), 0);
}

}  // namespace
}  // namespace warren::test
