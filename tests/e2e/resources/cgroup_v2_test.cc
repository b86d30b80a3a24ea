// What only cgroup v2, or only some nodes, have: `unified`, huge pages, cgroups
// that a container arranges below its own.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include "tests/e2e/resources/resources_test.h"
#include "tests/support/node_namespace.h"

namespace warren::test {
namespace {

class CgroupV2Test : public ResourcesTest {
 protected:
  void SetUp() override {
    ResourcesTest::SetUp();
    if (HasFatalFailure()) return;
    if (!HostFileExists("/sys/fs/cgroup/cgroup.controllers")) {
      GTEST_SKIP() << "cgroup v1";
    }
  }
  std::vector<std::string> Controls(const std::string& id,
                                    const std::vector<const char*>& files) {
    std::vector<std::string> values;
    for (const char* file : files) values.push_back(Control(id, file));
    return values;
  }

  uint32_t attempt_ = 0;
};

constexpr char kSome[] =
    "cpu_shares: 512 memory_limit_in_bytes: 67108864 "
    "unified { key: 'pids.max' value: '55' } "
    "unified { key: 'memory.high' value: '50331648' } "
    "unified { key: 'memory.oom.group' value: '1' }";

TEST_F(CgroupV2Test, UnifiedIsObeyedLiveAndAfterARestart) {
  const std::vector<const char*> files = {"pids.max", "memory.high",
                                          "memory.oom.group", "cpu.weight"};
  const std::string id = Start(IdleConfig("main"));
  EXPECT_THAT(Controls(id, files),
              testing::ElementsAre("max", "max", "0", "100"));
  const absl::Status updated = Update(id, ParseResources(kSome));
  ASSERT_TRUE(updated.ok()) << updated;
  EXPECT_THAT(Controls(id, files),
              testing::ElementsAre("55", "50331648", "1", "59"));
  // One key more: the others stay, and it counts before what is converted.
  KillDaemon();
  StartDaemon();
  EXPECT_TRUE(Update(id, ParseResources("cpu_shares: 2048 unified { key: "
                                        "'cpu.weight' value: '33' }"))
                  .ok());
  EXPECT_THAT(Controls(id, files),
              testing::ElementsAre("55", "50331648", "1", "33"));
  const auto shown = StatusOf(id).resources().linux();
  EXPECT_EQ(shown.unified_size(), 4);
  EXPECT_EQ(shown.cpu_shares(), 2048);
  // In force, not only written.
  EXPECT_EQ(ShellOutput(id, "cat /sys/fs/cgroup/pids.max"), "55\n");
}

TEST_F(CgroupV2Test, WhatTheKernelRefusesChangesNothing) {
  const std::vector<const char*> files = {
      "pids.max",   "memory.high", "memory.oom.group",      "memory.max",
      "cpu.weight", "cpu.max",     "cpuset.cpus.effective", "memory.swap.max"};
  const std::string id = Start(IdleConfig("main"));
  ASSERT_TRUE(Update(id, ParseResources(kSome)).ok());
  const std::vector<std::string> before = Controls(id, files);
  const std::string status_before = StatusOf(id).ShortDebugString();
  struct Case {
    const char* key;
    const char* value;
    absl::StatusCode code;
  };
  for (const Case& bad : std::vector<Case>{
           {"memory.oom.group", "7", absl::StatusCode::kInvalidArgument},
           {"memory.swap.high", "much", absl::StatusCode::kInvalidArgument},
           {"pids.max", "-3", absl::StatusCode::kInvalidArgument},
           {"cpu.max", "20000 1", absl::StatusCode::kInvalidArgument},
           {"cpuset.cpus", "4000", absl::StatusCode::kInvalidArgument},
           {"memory.nonsense", "1", absl::StatusCode::kFailedPrecondition}}) {
    cri::LinuxContainerResources update = ParseResources(
        "cpu_shares: 1024 cpu_quota: 30000 memory_limit_in_bytes: 33554432 "
        "cpuset_cpus: '0' unified { key: 'memory.high' value: '1048576' }");
    (*update.mutable_unified())[bad.key] = bad.value;
    const absl::Status refused = Update(id, update);
    EXPECT_EQ(refused.code(), bad.code) << bad.key << ": " << refused;
    EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("unified"));
    EXPECT_THAT(std::string(refused.message()), testing::HasSubstr(bad.key));
    EXPECT_EQ(Controls(id, files), before) << bad.key;
    EXPECT_EQ(StatusOf(id).ShortDebugString(), status_before);
    // Refused in the same words when a container would begin with it.
    cri::ContainerConfig config = IdleConfig("bad");
    (*Resources(&config)->mutable_unified())[bad.key] = bad.value;
    EXPECT_EQ(client().CreateContainer(pod_id_, config, pod_).status().code(),
              bad.code);
  }
}

// memory.max by its own name, in any spelling that the kernel takes, is no way
// round the promise that an update never kills.
TEST_F(CgroupV2Test, ALimitBelowWhatIsInUseIsRefused) {
  cri::ContainerConfig config =
      ContainerConfig("eater", {"/probe", "eat", "40"});
  AddProbe(&config);
  *Resources(&config) = ParseResources("memory_limit_in_bytes: 100663296");
  const std::string id = Start(config);
  ASSERT_TRUE(Eventually([&] {
    return absl::StrContains(ReadHostFile(StatusOf(id).log_path()), "full");
  }));
  for (const char* value : {"8388608", "8M", "8192k", "0x800000", " 8m\n"}) {
    cri::LinuxContainerResources update;
    (*update.mutable_unified())["memory.max"] = value;
    EXPECT_CODE(Update(id, update), kFailedPrecondition) << value;
    EXPECT_EQ(Control(id, "memory.max"), "100663296") << value;
    EXPECT_EQ(StatusOf(id).state(), cri::CONTAINER_RUNNING) << value;
  }
}

// In force, not only written: 32 MiB of memory and as much swap.
TEST_F(CgroupV2Test, SwapIsGivenUpToItsLimit) {
  if (absl::StrContains(ReadHostFile("/proc/meminfo"),
                        "SwapTotal:             0 kB")) {
    GTEST_SKIP() << "this node has no swap";
  }
  const auto eater = [this](const char* mib, const char* resources) {
    cri::ContainerConfig config =
        ContainerConfig(std::string("eater-") + mib, {"/probe", "eat", mib});
    AddProbe(&config);
    *Resources(&config) = ParseResources(resources);
    config.mutable_metadata()->set_attempt(attempt_++);
    return Start(config);
  };
  const char* both =
      "memory_limit_in_bytes: 33554432 memory_swap_limit_in_bytes: 67108864";
  const std::string id = eater("48", both);
  EXPECT_TRUE(Eventually([&] {
    return absl::StrContains(ReadHostFile(StatusOf(id).log_path()), "full");
  }));
  EXPECT_EQ(StatusOf(id).state(), cri::CONTAINER_RUNNING);
  EXPECT_NE(Control(id, "memory.swap.current"), "0");
  EXPECT_TRUE(client().StopContainer(id, 0).ok());
  EXPECT_EQ(WaitExited(eater("100", both)).reason(), "OOMKilled");
  EXPECT_EQ(WaitExited(eater("48", "memory_limit_in_bytes: 33554432")).reason(),
            "OOMKilled");
}

// As systemd or another runtime inside does: all processes one level down, the
// controllers passed on. The leaf itself takes no processes from then on.
TEST_F(CgroupV2Test, APrivilegedContainerMayArrangeCgroupsOfItsOwn) {
  cri::PodSandboxConfig pod = Pod("arranged");
  pod.mutable_linux()->mutable_security_context()->set_privileged(true);
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = ShellConfig(
      "main",
      "d=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup); "
      "mkdir $d/init && echo 0 >$d/init/cgroup.procs && "
      "echo '+memory +pids' >$d/cgroup.subtree_control && echo ready; "
      "while :; do sleep 0.1; done");
  config.mutable_linux()->mutable_security_context()->set_privileged(true);
  const std::string id = Run(pod_id, pod, config);
  ASSERT_TRUE(Eventually([&] {
    return absl::StrContains(ReadHostFile(StatusOf(id).log_path()), "ready");
  }));
  EXPECT_EQ(Control(id, "cgroup.subtree_control"), "memory pids");
  for (const bool adopted : {false, true}) {
    if (adopted) {
      KillDaemon();
      StartDaemon();
    }
    EXPECT_THAT(ShellOutput(id, "cat /proc/self/cgroup"),
                testing::EndsWith("/" + id + "/init\n"));
    // What is killed with a session is found there, too.
    EXPECT_CODE(
        client()
            .ExecSync(
                id, {"sh", "-c", "sleep 7171 & setsid sleep 7171 & sleep 7171"},
                1)
            .status(),
        kDeadlineExceeded);
    EXPECT_NE(ExitCodeOf(id, {"sh", "-c", "ps | grep -q '[s]leep 7171'"}), 0);
    EXPECT_TRUE(
        Update(id, ParseResources(adopted ? "memory_limit_in_bytes: 67108864"
                                          : "memory_limit_in_bytes: 33554432"))
            .ok());
  }
  EXPECT_EQ(Control(id, "memory.max"), "67108864");
  EXPECT_TRUE(client().StopContainer(id, 0).ok());
  EXPECT_EQ(WaitExited(id).exit_code(), 137);
}

TEST_F(ResourcesTest, HugePagesAreLimitedWhereTheNodeHasThem) {
  cri::ContainerConfig config = IdleConfig("main");
  *Resources(&config) = ParseResources(
      "hugepage_limits { page_size: '2MB' limit: 4194304 } "
      "hugepage_limits { page_size: '1GB' limit: 0 }");
  const std::string id = Start(config);
  if (Control(id, "hugetlb.2MB.max") == "none" &&
      Control(id, "hugetlb.2MB.limit_in_bytes") == "none") {
    GTEST_SKIP() << "no hugetlb controller, or no huge pages of 2 MiB";
  }
  std::vector<Limit> limits = {
      {"hugetlb.2MB.limit_in_bytes", "4194304", "hugetlb.2MB.max", "4194304"}};
  ExpectLimits(id, limits);
  if (Control(id, "hugetlb.1GB.max") != "none") {
    EXPECT_EQ(Control(id, "hugetlb.1GB.max"), "0");
  }
  ASSERT_TRUE(Update(id, ParseResources("hugepage_limits { page_size: '2MB' "
                                        "limit: 2097152 }"))
                  .ok());
  limits[0].v1_value = limits[0].v2_value = "2097152";
  ExpectLimits(id, limits);
  // Undone with the rest of a refused update.
  EXPECT_CODE(Update(id, ParseResources("hugepage_limits { page_size: '2MB' "
                                        "limit: 0 } cpuset_cpus: '4095'")),
              kInvalidArgument);
  ExpectLimits(id, limits);
  // By the name of the file, which has capitals.
  if (Control(id, "hugetlb.2MB.max") != "none") {
    EXPECT_TRUE(Update(id, ParseResources("unified { key: 'hugetlb.2MB.max' "
                                          "value: '0' }"))
                    .ok());
    EXPECT_EQ(Control(id, "hugetlb.2MB.max"), "0");
  }
}

}  // namespace
}  // namespace warren::test
