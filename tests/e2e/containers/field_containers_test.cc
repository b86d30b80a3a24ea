// Containers as people met them elsewhere: working directories that not
// everybody can enter, limits that are set one at a time.
#include <absl/strings/str_cat.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/oci_image.h"

namespace warren::test {
namespace {

using ::testing::HasSubstr;

constexpr char kImage[] = "example.test/closed:1";
constexpr uint32_t kIds = 7 * 65536;

class FieldContainersTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    OciImage image;
    image.layers = {BusyboxLayer(
        {"sh", "sleep", "cat", "pwd", "rmdir", "mkdir"},
        {{.name = "own/", .type = '5', .mode = 0700, .uid = 1000, .gid = 1000},
         {.name = "group/", .type = '5', .mode = 0770, .gid = 2000},
         {.name = "root/", .type = '5', .mode = 0700}})};
    ASSERT_TRUE(client().ImportImage(kImage, OciArchive(image)).ok());
  }

  // Drops every capability, so that root is as good as anybody.
  cri::ContainerConfig Closed(const std::string& name, int64_t user,
                              const std::string& directory) {
    cri::ContainerConfig config = IdleConfig(name);
    config.mutable_image()->set_image(kImage);
    config.set_working_dir(directory);
    auto* security = config.mutable_linux()->mutable_security_context();
    security->mutable_run_as_user()->set_value(user);
    security->mutable_capabilities()->add_drop_capabilities("ALL");
    return config;
  }
  // The value of a limit, by its file on v1 and on v2, as the container reads
  // it.
  std::string Limit(const std::string& id, const std::string& v1,
                    const std::string& v2) {
    return ShellOutput(id, absl::StrCat("cd /sys/fs/cgroup; cat ", v1,
                                        " 2>/dev/null || cat ", v2));
  }
  absl::Status Update(const std::string& id,
                      const cri::LinuxContainerResources& resources) {
    cri::UpdateContainerResourcesRequest request;
    request.set_container_id(id);
    *request.mutable_linux() = resources;
    return client()
        .Call<cri::UpdateContainerResourcesResponse>(request)
        .status();
  }
};

// Either identity being able to enter it suffices: root before the user is
// taken on, or the user.
TEST_F(FieldContainersTest, C28_WorkingDirectoriesThatNotEverybodyCanEnter) {
  cri::PodSandboxConfig pod = Pod("closed");
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig member = Closed("member", 1500, "/group");
  member.mutable_linux()->mutable_security_context()->add_supplemental_groups(
      2000);
  for (const cri::ContainerConfig& config :
       {Closed("root-in-users", 0, "/own"), Closed("user", 1000, "/own"),
        Closed("user-in-roots", 1000, "/root"), member}) {
    SCOPED_TRACE(config.metadata().name());
    const std::string id = Run(pod_id, pod, config);
    EXPECT_EQ(Output(id, {"pwd"}), config.working_dir() + "\n");
  }
  // A volume that is closed and belongs to a user of a pod with ids of its own.
  const std::string volume = daemon().directory() + "/closed";
  ASSERT_EQ(mkdir(volume.c_str(), 0700), 0);
  ASSERT_EQ(chown(volume.c_str(), 1000, 1000), 0);
  cri::PodSandboxConfig mapped = Pod("mapped");
  UseUserNamespace(NamespaceOptions(&mapped), kIds);
  for (const int64_t user : {int64_t{0}, int64_t{1000}}) {
    cri::ContainerConfig config =
        Closed(absl::StrCat("volume", user), user, "/v");
    UseUserNamespace(NamespaceOptions(&config), kIds);
    AddMount(&config, volume, "/v", false);
    const auto& ids = NamespaceOptions(&config)->userns_options();
    *config.mutable_mounts(0)->mutable_uidmappings() = ids.uids();
    *config.mutable_mounts(0)->mutable_gidmappings() = ids.gids();
    const std::string mapped_id = RunPod(mapped);
    EXPECT_EQ(Output(Run(mapped_id, mapped, config), {"pwd"}), "/v\n");
  }
  RemoveAllPods();
  EXPECT_EQ(rmdir(volume.c_str()), 0);
}

TEST_F(FieldContainersTest, C28_AWorkingDirectoryThatIsGone) {
  cri::PodSandboxConfig pod = Pod("gone");
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = IdleConfig("main");
  config.set_working_dir("/tmp/work");
  const std::string id = Run(pod_id, pod, config);
  EXPECT_EQ(Output(id, {"pwd"}), "/tmp/work\n");
  EXPECT_EQ(ExitCodeOf(id, {"rmdir", "/tmp/work"}), 0);
  const auto gone = client().ExecSync(id, {"pwd"});
  if (!gone.ok()) {
    EXPECT_THAT(std::string(gone.status().message()), HasSubstr("/tmp/work"));
  } else {
    EXPECT_EQ(gone->exit_code(), 0);  // it was made again
  }
  EXPECT_EQ(StatusOf(id).state(), cri::CONTAINER_RUNNING);
  // By somebody who does not need it.
  RunCommand({"mkdir", "-p",
              absl::StrCat("/proc/", HostPid(pod_id, id), "/root/tmp/work")});
  EXPECT_EQ(Output(id, {"pwd"}), "/tmp/work\n");
}

// What an update does not name stays, in the kernel and in the answer.
TEST_F(FieldContainersTest, C34_LimitsThatAreSetOneAtATime) {
  cri::PodSandboxConfig pod = Pod("limits");
  const std::string id = Run(RunPod(pod), pod, IdleConfig("main"));
  const auto expect = [&](const std::string& quota, const std::string& cpus,
                          const std::string& memory) {
    const std::string now = Limit(id, "cpu/cpu.cfs_quota_us", "cpu.max");
    EXPECT_EQ(now.substr(0, quota.size()), quota);
    if (!cpus.empty()) {
      EXPECT_EQ(Limit(id, "cpuset/cpuset.cpus", "cpuset.cpus"), cpus + "\n");
    }
    if (!memory.empty()) {
      EXPECT_EQ(Limit(id, "memory/memory.limit_in_bytes", "memory.max"),
                memory + "\n");
    }
    const cri::LinuxContainerResources shown = StatusOf(id).resources().linux();
    EXPECT_EQ(absl::StrCat(shown.cpu_quota()), quota);
    EXPECT_EQ(shown.cpuset_cpus(), cpus);
    EXPECT_EQ(absl::StrCat(shown.memory_limit_in_bytes()),
              memory.empty() ? "0" : memory);
  };
  cri::LinuxContainerResources quota;
  quota.set_cpu_quota(20000);
  quota.set_cpu_period(100000);
  EXPECT_TRUE(Update(id, quota).ok());
  expect("20000", "", "");
  cri::LinuxContainerResources cpus;
  cpus.set_cpuset_cpus("0");
  EXPECT_TRUE(Update(id, cpus).ok());
  expect("20000", "0", "");
  cri::LinuxContainerResources memory;
  memory.set_memory_limit_in_bytes(64 << 20);
  EXPECT_TRUE(Update(id, memory).ok());
  expect("20000", "0", "67108864");
  // A kubelet's CPU manager sends the same set every ten seconds.
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(Update(id, cpus).ok()) << i;
  expect("20000", "0", "67108864");
  // A processor that is not there: refused, and the old set stays.
  cri::LinuxContainerResources offline;
  offline.set_cpuset_cpus("4095");
  EXPECT_FALSE(Update(id, offline).ok());
  expect("20000", "0", "67108864");
}

}  // namespace
}  // namespace warren::test
