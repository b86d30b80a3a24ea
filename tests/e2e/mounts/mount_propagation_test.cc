// Mounts that come after the start, in both directions.
#include <sys/mount.h>

#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

class MountPropagationTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    shared_ = daemon().directory() + "/shared";
    ASSERT_EQ(RunCommand({"mkdir", "-p", shared_}).exit_code, 0);
    ASSERT_EQ(RunCommand({"mount", "-t", "tmpfs", "src", shared_}).exit_code,
              0);
    ASSERT_EQ(RunCommand({"mount", "--make-shared", shared_}).exit_code, 0);
    ASSERT_EQ(RunCommand({"mkdir", shared_ + "/before", shared_ + "/later",
                          shared_ + "/inside"})
                  .exit_code,
              0);
  }
  void TearDown() override {
    RemoveAllPods();
    RunCommand({"umount", "-R", shared_});
    RunCommand({"rm", "-rf", shared_});
    CriTest::TearDown();
  }
  void MountOnHost(const std::string& name) {
    const std::string path = shared_ + "/" + name;
    ASSERT_EQ(RunCommand({"mount", "-t", "tmpfs", name, path}).exit_code, 0);
    ASSERT_TRUE(WriteHostFile(path + "/file", "x"));
  }
  static void Propagate(cri::ContainerConfig* config, const std::string& from,
                        const std::string& to, cri::MountPropagation mode) {
    AddMount(config, from, to, false);
    config->mutable_mounts(config->mounts_size() - 1)->set_propagation(mode);
  }
  static void AllowMounting(cri::ContainerConfig* config) {
    config->mutable_linux()
        ->mutable_security_context()
        ->mutable_capabilities()
        ->add_add_capabilities("SYS_ADMIN");
  }
  absl::Status CreateWith(const std::string& from, cri::MountPropagation mode) {
    cri::ContainerConfig config = IdleConfig("main");
    Propagate(&config, from, "/v", mode);
    const cri::PodSandboxConfig pod = Pod("pod");
    const std::string pod_id = RunPod(pod);
    const auto status = client().CreateContainer(pod_id, config, pod).status();
    EXPECT_TRUE(client().StopPodSandbox(pod_id).ok());
    EXPECT_TRUE(client().RemovePodSandbox(pod_id).ok());
    return status;
  }

  std::string shared_;
};

TEST_F(MountPropagationTest, HostToContainerBringsLaterMountsInOnly) {
  cri::ContainerConfig config = IdleConfig("main");
  AllowMounting(&config);
  Propagate(&config, shared_, "/private", cri::PROPAGATION_PRIVATE);
  Propagate(&config, shared_, "/slave", cri::PROPAGATION_HOST_TO_CONTAINER);
  const cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const auto id = client().CreateContainer(pod_id, config, pod);
  ASSERT_TRUE(id.ok()) << id.status();
  MountOnHost("before");  // created, not started
  ASSERT_TRUE(client().StartContainer(*id).ok());
  MountOnHost("later");
  EXPECT_EQ(ShellOutput(*id,
                        "for m in slave private; do for d in before later; do "
                        "test -e /$m/$d/file && echo $m $d; done; done; true"),
            "slave before\nslave later\n");
  ShellOutput(*id, "mount -t tmpfs own /slave/inside");
  EXPECT_THAT(ReadHostFile("/proc/self/mounts"),
              testing::Not(testing::HasSubstr("own ")));
}

TEST_F(MountPropagationTest, BidirectionalGoesBothWays) {
  cri::ContainerConfig config = IdleConfig("main");
  AllowMounting(&config);
  Propagate(&config, shared_, "/v", cri::PROPAGATION_BIDIRECTIONAL);
  const std::string id = RunAlone(config);
  EXPECT_THAT(ShellOutput(id, "grep ' / / ' /proc/self/mountinfo"),
              testing::HasSubstr(" shared:"))
      << "what is mounted anywhere inside can be handed on";
  MountOnHost("later");
  EXPECT_EQ(ShellOutput(id, "cat /v/later/file"), "x");
  ShellOutput(id, "mount -t tmpfs own /v/inside && echo y > /v/inside/file");
  EXPECT_EQ(ReadHostFile(shared_ + "/inside/file"), "y\n");
  ShellOutput(id, "umount /v/later");
  EXPECT_FALSE(HostFileExists(shared_ + "/later/file"));
  RemoveAllPods();
  EXPECT_EQ(ReadHostFile(shared_ + "/inside/file"), "y\n")
      << "the node's from now on";
}

// Only what the container itself mounts gets out: not what is mounted for it
// below a bidirectional mount, nor a mask, nor a read-only path.
TEST_F(MountPropagationTest, FS_6_OurMountsBelowABidirectionalOneStayInside) {
  ASSERT_TRUE(WriteHostFile(shared_ + "/secret", "secret"));
  const std::string before = ReadHostFile("/proc/self/mountinfo");
  cri::ContainerConfig config = IdleConfig("main");
  Propagate(&config, shared_, "/v", cri::PROPAGATION_BIDIRECTIONAL);
  AddMount(&config, "/etc", "/v/before", true);
  auto* security = config.mutable_linux()->mutable_security_context();
  security->add_masked_paths("/v/secret");
  security->add_readonly_paths("/v/later");
  const std::string id = RunAlone(config);
  EXPECT_EQ(ReadHostFile("/proc/self/mountinfo"), before);
  EXPECT_EQ(ShellOutput(id,
                        "test -e /v/before/passwd && cat /v/secret; "
                        "touch /v/later/x 2>&1 || true"),
            "touch: /v/later/x: Read-only file system\n");
  MountOnHost("inside");
  EXPECT_EQ(ShellOutput(id, "cat /v/inside/file"), "x");
}

TEST_F(MountPropagationTest, TheSourceMustBeSharedOrASlave) {
  const std::string message = "mount propagation";
  ASSERT_EQ(RunCommand({"mount", "--make-private", shared_}).exit_code, 0);
  for (const auto mode :
       {cri::PROPAGATION_HOST_TO_CONTAINER, cri::PROPAGATION_BIDIRECTIONAL}) {
    const absl::Status status = CreateWith(shared_ + "/later", mode);
    EXPECT_CODE(status, kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(message));
  }
  EXPECT_TRUE(CreateWith(shared_, cri::PROPAGATION_PRIVATE).ok());
  // A slave: takes mounts, but gives none.
  const std::string slave = shared_ + "/later";
  ASSERT_EQ(RunCommand({"mount", "--make-shared", shared_}).exit_code, 0);
  ASSERT_EQ(RunCommand({"mount", "--bind", shared_, slave}).exit_code, 0);
  ASSERT_EQ(RunCommand({"mount", "--make-slave", slave}).exit_code, 0);
  EXPECT_TRUE(CreateWith(slave, cri::PROPAGATION_HOST_TO_CONTAINER).ok());
  EXPECT_CODE(CreateWith(slave, cri::PROPAGATION_BIDIRECTIONAL),
              kFailedPrecondition);
}

TEST_F(MountPropagationTest, NothingLeadsOutOfAUserNamespace) {
  cri::PodSandboxConfig pod = Pod("pod");
  UseUserNamespace(NamespaceOptions(&pod), 5 * 65536);
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = IdleConfig("main");
  UseUserNamespace(NamespaceOptions(&config), 5 * 65536);
  Propagate(&config, shared_, "/v", cri::PROPAGATION_BIDIRECTIONAL);
  EXPECT_CODE(client().CreateContainer(pod_id, config, pod).status(),
              kInvalidArgument);
  config.mutable_mounts(0)->set_propagation(cri::PROPAGATION_HOST_TO_CONTAINER);
  const std::string id = Run(pod_id, pod, config);
  MountOnHost("later");
  EXPECT_EQ(ShellOutput(id, "cat /v/later/file"), "x");
}

}  // namespace
}  // namespace warren::test
