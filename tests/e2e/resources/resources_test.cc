// LinuxContainerResources: at CreateContainer and by UpdateContainerResources.
#include "tests/e2e/resources/resources_test.h"

#include <atomic>
#include <thread>

namespace warren::test {
namespace {

constexpr char kEverything[] =
    "cpu_shares: 512 cpu_quota: 20000 cpu_period: 50000 "
    "memory_limit_in_bytes: 67108864 memory_swap_limit_in_bytes: 134217728 "
    "cpuset_cpus: '0' cpuset_mems: '0' oom_score_adj: 500 "
    "hugepage_limits { page_size: '2MB' limit: 0 } "
    "hugepage_limits { page_size: '1GB' limit: 0 }";

const std::vector<Limit>& Everything() {
  static const auto* limits = new std::vector<Limit>{
      {"cpu.shares", "512", "cpu.weight", "59"},
      {"cpu.cfs_quota_us", "20000", "cpu.max", "20000 50000"},
      {"cpu.cfs_period_us", "50000", "cpu.max", "20000 50000"},
      {"memory.limit_in_bytes", "67108864", "memory.max", "67108864"},
      {"memory.memsw.limit_in_bytes", "134217728", "memory.swap.max",
       "67108864"},
      {"cpuset.cpus", "0", "cpuset.cpus", "0"},
      {"cpuset.mems", "0", "cpuset.mems", "0"}};
  return *limits;
}

// A refused value, and with what its error must begin.
struct Bad {
  const char* resources;
  const char* field;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

const std::vector<Bad>& BadValues() {
  static const auto* cases = new std::vector<Bad>{
      {"cpu_shares: -1", "cpu_shares: "},
      {"cpu_quota: 999", "cpu_quota: "},
      {"cpu_quota: -2", "cpu_quota: "},
      {"cpu_period: 999", "cpu_period: "},
      {"cpu_period: 1000001", "cpu_period: "},
      {"memory_limit_in_bytes: -2", "memory_limit_in_bytes: "},
      {"memory_swap_limit_in_bytes: -2", "memory_swap_limit_in_bytes: "},
      {"memory_swap_limit_in_bytes: 4096", "memory_swap_limit_in_bytes: "},
      {"memory_limit_in_bytes: -1 memory_swap_limit_in_bytes: 8192",
       "memory_swap_limit_in_bytes: "},
      {"cpuset_cpus: '0;1'", "cpuset_cpus: "},
      {"cpuset_cpus: '4095'", "cpuset_cpus: "},
      {"cpuset_cpus: '1-0'", "cpuset_cpus: "},
      {"cpuset_mems: 'zero'", "cpuset_mems: "},
      {"cpuset_mems: '900'", "cpuset_mems: "},
      {"hugepage_limits { page_size: '../../x' limit: 1 }",
       "hugepage_limits.page_size: "},
      {"hugepage_limits { page_size: '2' }", "hugepage_limits.page_size: "},
      {"unified { key: 'memory' value: '1' }", "unified: "},
      {"unified { key: 'cgroup.procs' value: '1' }", "unified: "},
      {"unified { key: 'memory.high' value: '1\\0002' }", "unified: "}};
  return *cases;
}

TEST_F(ResourcesTest, EveryFieldIsInTheCgroup) {
  cri::ContainerConfig config = IdleConfig("main");
  *Resources(&config) = ParseResources(kEverything);
  const std::string id = Start(config);
  ExpectLimits(id, Everything());
  EXPECT_EQ(ShellOutput(id, "cat /proc/1/oom_score_adj"), "500\n");
  EXPECT_EQ(ShellOutput(id, "grep Cpus_allowed_list /proc/1/status"),
            "Cpus_allowed_list:\t0\n");
  EXPECT_EQ(StatusOf(id).resources().linux().SerializeAsString(),
            Resources(&config)->SerializeAsString());
}

TEST_F(ResourcesTest, ZeroAndEmptyMeanNotSpecified) {
  cri::ContainerConfig config = IdleConfig("main");
  *Resources(&config) = cri::LinuxContainerResources();
  const std::string id = Start(config);
  const char* all = "9223372036854771712";
  ExpectLimits(id,
               {{"cpu.shares", "1024", "cpu.weight", "100"},
                {"cpu.cfs_quota_us", "-1", "cpu.max", "max 100000"},
                {"memory.limit_in_bytes", all, "memory.max", "max"},
                {"memory.memsw.limit_in_bytes", all, "memory.swap.max", "max"},
                {"pids.max", "max", "pids.max", "max"}});
}

TEST_F(ResourcesTest, SwapThatIsNotNamedIsNone) {
  cri::ContainerConfig config = IdleConfig("main");
  Resources(&config)->set_memory_limit_in_bytes(64 << 20);
  ExpectLimits(Create(config), {{"memory.memsw.limit_in_bytes", "67108864",
                                 "memory.swap.max", "0"}});
}

TEST_F(ResourcesTest, BadValuesAreRefusedAtCreate) {
  for (const Bad& bad : BadValues()) {
    cri::ContainerConfig config = IdleConfig("bad");
    *Resources(&config) = ParseResources(bad.resources);
    const absl::Status status =
        client().CreateContainer(pod_id_, config, pod_).status();
    EXPECT_EQ(status.code(), bad.code) << bad.resources << ": " << status;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(bad.field));
  }
  cri::ContainerConfig config = IdleConfig("bad");
  Resources(&config)->set_oom_score_adj(1001);
  EXPECT_CODE(client().CreateContainer(pod_id_, config, pod_).status(),
              kInvalidArgument);
  EXPECT_TRUE(client().ListContainers()->empty());
}

// GHSA-5g49-rx9x-qfc6: a key is a file of the container's own cgroup.
TEST_F(ResourcesTest, GHSA_5g49_UnifiedKeysLeadNowhereElse) {
  const std::string id = Start(IdleConfig("main"));
  for (const char* key : {"../memory.max", "..", "memory.max/../../x", "/x.y",
                          "./memory.max", "a/b.c", ".x", "memory..max"}) {
    cri::ContainerConfig config = IdleConfig("bad");
    (*Resources(&config)->mutable_unified())[key] = "1";
    const absl::Status created =
        client().CreateContainer(pod_id_, config, pod_).status();
    EXPECT_CODE(created, kInvalidArgument) << key;
    EXPECT_THAT(std::string(created.message()), testing::HasSubstr("unified"));
    EXPECT_CODE(Update(id, *Resources(&config)), kInvalidArgument) << key;
  }
}

TEST_F(ResourcesTest, UnifiedIsObeyedOnV2AndRefusedOnV1) {
  cri::ContainerConfig config = IdleConfig("main");
  (*Resources(&config)->mutable_unified())["memory.high"] = "77000704";
  const auto id = client().CreateContainer(pod_id_, config, pod_);
  if (id.ok()) {
    EXPECT_EQ(Control(*id, "memory.high"), "77000704");
    EXPECT_EQ(Control(*id, "memory.limit_in_bytes"), "none") << "v1?";
    return;
  }
  EXPECT_CODE(id.status(), kFailedPrecondition);
  EXPECT_THAT(std::string(id.status().message()),
              testing::HasSubstr("unified: \"memory.high\" needs cgroup v2"));
  const std::string running = Start(IdleConfig("running"));
  EXPECT_CODE(Update(running, *Resources(&config)), kFailedPrecondition);
  EXPECT_FALSE(StatusOf(running).has_resources());
}

// The limit of processes, for which CRI has no field, is the same file in both.
TEST_F(ResourcesTest, UnifiedPidsMaxIsObeyedOnBoth) {
  cri::ContainerConfig config = IdleConfig("main");
  (*Resources(&config)->mutable_unified())["pids.max"] = "77";
  const std::string id = Start(config);
  EXPECT_EQ(Control(id, "pids.max"), "77");
  EXPECT_TRUE(Update(id, ParseResources("cpu_shares: 512")).ok());
  EXPECT_EQ(Control(id, "pids.max"), "77");
  EXPECT_TRUE(
      Update(id, ParseResources("unified { key: 'pids.max' value: '78' }"))
          .ok());
  EXPECT_EQ(Control(id, "pids.max"), "78");
}

TEST_F(ResourcesTest, UpdateChangesEveryFieldLive) {
  const std::string id = Start(IdleConfig("main"));
  const cri::LinuxContainerResources asked = ParseResources(kEverything);
  const absl::Status updated = Update(id, asked);
  ASSERT_TRUE(updated.ok()) << updated;
  ExpectLimits(id, Everything());
  EXPECT_EQ(ShellOutput(id, "grep Cpus_allowed_list /proc/1/status"),
            "Cpus_allowed_list:\t0\n");
  cri::LinuxContainerResources shown = StatusOf(id).resources().linux();
  EXPECT_EQ(shown.oom_score_adj(), 0) << "belongs to the processes, stays";
  EXPECT_EQ(ShellOutput(id, "cat /proc/1/oom_score_adj"), "0\n");
  shown.set_oom_score_adj(asked.oom_score_adj());
  EXPECT_EQ(shown.ShortDebugString(), asked.ShortDebugString());
  // Fields that are not given stay.
  EXPECT_TRUE(Update(id, ParseResources("cpu_shares: 2048")).ok());
  std::vector<Limit> limits = Everything();
  limits[0] = {"cpu.shares", "2048", "cpu.weight", "174"};
  ExpectLimits(id, limits);
  EXPECT_TRUE(Update(id, {}).ok());
  ExpectLimits(id, limits);
}

// What is there is what the last update left, not what the creation asked for.
TEST_F(ResourcesTest, UpdateCanGoBackToTheFirstLimits) {
  cri::ContainerConfig config = IdleConfig("main");
  *Resources(&config) = ParseResources(kEverything);
  const std::string id = Start(config);
  EXPECT_TRUE(Update(id, ParseResources("cpu_shares: 2048 cpu_quota: 40000 "
                                        "memory_limit_in_bytes: 33554432"))
                  .ok());
  EXPECT_TRUE(Update(id, ParseResources(kEverything)).ok());
  ExpectLimits(id, Everything());
}

// Every pair in both directions: the kernel takes them in one order only.
TEST_F(ResourcesTest, UpdateRaisesAndLowersPairs) {
  const std::string id = Start(IdleConfig("main"));
  struct Step {
    const char* resources;
    std::vector<Limit> limits;
  };
  const char* all = "9223372036854771712";
  const auto memory = [](const char* limit, const char* memsw,
                         const char* swap) -> std::vector<Limit> {
    return {{"memory.limit_in_bytes", limit, "memory.max", limit},
            {"memory.memsw.limit_in_bytes", memsw, "memory.swap.max", swap}};
  };
  const auto cpu = [](const char* quota, const char* period,
                      const char* v2) -> std::vector<Limit> {
    return {{"cpu.cfs_quota_us", quota, "cpu.max", v2},
            {"cpu.cfs_period_us", period, "cpu.max", v2}};
  };
  for (const Step& step : std::vector<Step>{
           {"memory_limit_in_bytes: 67108864",
            memory("67108864", "67108864", "0")},
           {"memory_limit_in_bytes: 134217728",
            memory("134217728", "134217728", "0")},
           {"memory_limit_in_bytes: 33554432",
            memory("33554432", "33554432", "0")},
           {"memory_limit_in_bytes: 67108864 memory_swap_limit_in_bytes: "
            "100663296",
            memory("67108864", "100663296", "33554432")},
           {"memory_swap_limit_in_bytes: 67108864",
            memory("67108864", "67108864", "0")},
           {"memory_limit_in_bytes: 33554432 memory_swap_limit_in_bytes: "
            "134217728",
            memory("33554432", "134217728", "100663296")},
           {"cpu_quota: 20000 cpu_period: 10000",
            cpu("20000", "10000", "20000 10000")},
           {"cpu_quota: 200000 cpu_period: 1000000",
            cpu("200000", "1000000", "200000 1000000")},
           {"cpu_quota: 1000 cpu_period: 1000",
            cpu("1000", "1000", "1000 1000")},
           {"cpu_quota: -1", cpu("-1", "1000", "max 1000")}}) {
    const absl::Status updated = Update(id, ParseResources(step.resources));
    EXPECT_TRUE(updated.ok()) << step.resources << ": " << updated;
    ExpectLimits(id, step.limits);
  }
  EXPECT_TRUE(Update(id, ParseResources("memory_limit_in_bytes: -1")).ok());
  if (Control(id, "memory.limit_in_bytes") != "none") {
    ExpectLimits(id, memory(all, all, ""));
  } else {
    ExpectLimits(id, memory("max", "", "max"));
  }
}

TEST_F(ResourcesTest, UpdateOfACreatedContainerHoldsWhenItStarts) {
  const std::string id = Create(IdleConfig("main"));
  ASSERT_TRUE(Update(id, ParseResources(kEverything)).ok());
  EXPECT_EQ(StatusOf(id).state(), cri::CONTAINER_CREATED);
  ASSERT_TRUE(client().StartContainer(id).ok());
  ExpectLimits(id, Everything());
  EXPECT_EQ(ShellOutput(id, "grep Cpus_allowed_list /proc/1/status"),
            "Cpus_allowed_list:\t0\n");
}

TEST_F(ResourcesTest, UpdateIsRefusedForWhatIsNotThereOrHasEnded) {
  const std::string id = Start(ShellConfig("done", "exit 0"));
  WaitExited(id);
  EXPECT_CODE(Update(id, ParseResources("cpu_shares: 5")), kFailedPrecondition);
  EXPECT_FALSE(StatusOf(id).has_resources());
  EXPECT_CODE(Update(std::string(64, 'f'), {}), kNotFound);
  EXPECT_CODE(Update("", {}), kInvalidArgument);
  cri::UpdateContainerResourcesRequest request;
  request.set_container_id(Create(IdleConfig("main")));
  (*request.mutable_annotations())["option"] = "x";
  EXPECT_CODE(
      client().Call<cri::UpdateContainerResourcesResponse>(request).status(),
      kInvalidArgument);
}

TEST_F(ResourcesTest, ARefusedUpdateChangesNothing) {
  const std::string id = Start(IdleConfig("main"));
  ASSERT_TRUE(Update(id, ParseResources(kEverything)).ok());
  const std::string before = StatusOf(id).SerializeAsString();
  for (const Bad& bad : BadValues()) {
    // Good values before and behind the bad one. What the update would have
    // made good by what is there already is not bad.
    cri::LinuxContainerResources update =
        ParseResources("cpu_shares: 1024 memory_limit_in_bytes: 33554432");
    update.MergeFrom(ParseResources(bad.resources));
    const absl::Status status = Update(id, update);
    EXPECT_EQ(status.code(), bad.code) << bad.resources << ": " << status;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(bad.field));
    ExpectLimits(id, Everything());
  }
  EXPECT_EQ(StatusOf(id).SerializeAsString(), before);
}

TEST_F(ResourcesTest, ALimitBelowWhatIsInUseIsRefusedAndKillsNothing) {
  cri::ContainerConfig config =
      ContainerConfig("eater", {"/probe", "eat", "40"});
  AddProbe(&config);
  *Resources(&config) =
      ParseResources("memory_limit_in_bytes: 100663296 cpu_shares: 512");
  const std::string id = Start(config);
  ASSERT_TRUE(Eventually([&] {
    return ReadHostFile(StatusOf(id).log_path()).find("full") !=
           std::string::npos;
  }));
  const absl::Status refused = Update(
      id, ParseResources("memory_limit_in_bytes: 8388608 cpu_shares: 1024"));
  EXPECT_CODE(refused, kFailedPrecondition) << refused;
  EXPECT_THAT(std::string(refused.message()),
              testing::HasSubstr("memory_limit_in_bytes: "));
  ExpectLimits(
      id, {{"memory.limit_in_bytes", "100663296", "memory.max", "100663296"},
           {"cpu.shares", "512", "cpu.weight", "59"}});
  EXPECT_EQ(StatusOf(id).state(), cri::CONTAINER_RUNNING);
  EXPECT_EQ(StatusOf(id).resources().linux().memory_limit_in_bytes(),
            100663296);
}

TEST_F(ResourcesTest, REL_1_UpdatesOutliveTheAgent) {
  const std::string running = Start(IdleConfig("running"));
  const std::string created = Create(IdleConfig("created"));
  for (const std::string& id : {running, created}) {
    ASSERT_TRUE(Update(id, ParseResources(kEverything)).ok());
  }
  KillDaemon();
  StartDaemon();
  ASSERT_TRUE(client().StartContainer(created).ok());
  std::vector<Limit> limits = Everything();
  for (const std::string& id : {running, created}) {
    ExpectLimits(id, limits);
    EXPECT_EQ(StatusOf(id).resources().linux().cpu_shares(), 512);
    EXPECT_TRUE(Update(id, ParseResources("cpu_shares: 1024")).ok());
    EXPECT_EQ(StatusOf(id).resources().linux().memory_limit_in_bytes(),
              67108864);
  }
  limits[0] = {"cpu.shares", "1024", "cpu.weight", "100"};
  for (const std::string& id : {running, created}) ExpectLimits(id, limits);
}

// Killed at any moment of an update: afterwards cgroup and status agree.
TEST_F(ResourcesTest, REL_3_AnAgentKilledDuringUpdatesLeavesAgreement) {
  const std::string id = Start(IdleConfig("main"));
  for (int round = 0; round < 4; ++round) {
    std::atomic<int> answered = 0;
    std::thread updates([&] {
      for (int n = 0;; ++n) {
        const absl::Status status = Update(
            id, ParseResources(n % 2 == 0 ? "cpu_shares: 512 cpu_quota: 20000 "
                                            "memory_limit_in_bytes: 67108864"
                                          : "cpu_shares: 2048 cpu_quota: -1 "
                                            "memory_limit_in_bytes: 33554432"));
        if (!status.ok()) return;  // the daemon is gone
        ++answered;
      }
    });
    EXPECT_TRUE(Eventually([&] { return answered >= 3 + round * 7; }));
    KillDaemon();
    updates.join();
    StartDaemon();
    const auto shown = StatusOf(id).resources().linux();
    const bool low = shown.cpu_shares() == 512;
    EXPECT_TRUE(low || shown.cpu_shares() == 2048);
    EXPECT_EQ(shown.memory_limit_in_bytes(), low ? 67108864 : 33554432);
    ExpectLimits(id, {{"cpu.shares", low ? "512" : "2048", "cpu.weight",
                       low ? "59" : "174"},
                      {"cpu.cfs_quota_us", low ? "20000" : "-1", "cpu.max",
                       low ? "20000 100000" : "max 100000"},
                      {"memory.limit_in_bytes", low ? "67108864" : "33554432",
                       "memory.max", low ? "67108864" : "33554432"}});
  }
}

}  // namespace
}  // namespace warren::test
