// CreateContainer, StartContainer, ContainerStatus, RemoveContainer: what they
// do, exit codes and reasons, and what a repeated call does.
#include <absl/time/clock.h>

#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/cri_test.h"
#include "tests/support/host_file.h"
#include "tests/support/ledger_probes.h"
#include "tests/support/temp_directory.h"

namespace warren::test {
namespace {

class ContainerLifecycleTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    pod_ = Pod("pod");
    pod_id_ = RunPod(pod_);
  }
  std::string Create(const cri::ContainerConfig& config) {
    auto id = client().CreateContainer(pod_id_, config, pod_);
    EXPECT_TRUE(id.ok()) << id.status();
    return id.value_or("");
  }
  cri::ContainerStatus RunToEnd(const cri::ContainerConfig& config) {
    return WaitExited(Run(pod_id_, pod_, config));
  }

  cri::PodSandboxConfig pod_;
  std::string pod_id_;
};

TEST_F(ContainerLifecycleTest, StatusHasEveryFieldAKubeletChecks) {
  cri::ContainerConfig config = IdleConfig("main");
  config.mutable_metadata()->set_attempt(2);
  (*config.mutable_labels())["io.kubernetes.pod.uid"] = "u1";
  (*config.mutable_annotations())["hash"] = "abc";
  AddMount(&config, daemon().directory(), "/data", true);
  const int64_t before = absl::ToUnixNanos(absl::Now());
  const std::string id = Create(config);
  EXPECT_EQ(id.size(), 64u);

  cri::ContainerStatus status = StatusOf(id);
  EXPECT_EQ(status.state(), cri::CONTAINER_CREATED);
  EXPECT_GE(status.created_at(), before);
  EXPECT_EQ(status.started_at(), 0);
  EXPECT_EQ(status.finished_at(), 0);

  EXPECT_TRUE(client().StartContainer(id).ok());
  status = StatusOf(id);
  EXPECT_EQ(status.id(), id);
  EXPECT_EQ(status.state(), cri::CONTAINER_RUNNING);
  EXPECT_EQ(status.metadata().name(), "main");
  EXPECT_EQ(status.metadata().attempt(), 2u);
  EXPECT_GE(status.started_at(), status.created_at());
  EXPECT_EQ(status.finished_at(), 0);
  EXPECT_EQ(status.image().image(), kBusybox);
  EXPECT_FALSE(status.image_ref().empty());
  EXPECT_THAT(status.image_id(), testing::StartsWith("sha256:"));
  EXPECT_EQ(status.labels().at("io.kubernetes.pod.uid"), "u1");
  EXPECT_EQ(status.annotations().at("hash"), "abc");
  ASSERT_EQ(status.mounts_size(), 1);
  EXPECT_EQ(status.mounts(0).container_path(), "/data");
  EXPECT_EQ(status.log_path(), pod_.log_directory() + "/main/0.log");
  EXPECT_TRUE(status.reason().empty());
  EXPECT_EQ(status.stop_signal(), cri::SIGNAL_SIGTERM);
  EXPECT_EQ(status.user().linux().uid(), 0);
}

TEST_F(ContainerLifecycleTest, VerboseStatusNamesThePid) {
  const std::string id = Run(pod_id_, pod_, IdleConfig("main"));
  cri::ContainerStatusRequest request;
  request.set_container_id(id);
  request.set_verbose(true);
  const auto reply = client().Call<cri::ContainerStatusResponse>(request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  ASSERT_TRUE(reply->info().contains("info"));
  EXPECT_THAT(reply->info().at("info"),
              testing::HasSubstr(std::to_string(HostPid(pod_id_, id))));
}

TEST_F(ContainerLifecycleTest, ExitCodesAndReasons) {
  struct Case {
    const char* script;
    int exit_code;
    const char* reason;
  };
  const std::vector<Case> cases = {{"exit 0", 0, "Completed"},
                                   {"exit 1", 1, "Error"},
                                   {"exit 255", 255, "Error"},
                                   {"kill -9 $$", 137, "Error"},
                                   {"kill -TERM $$; sleep 5", 143, "Error"},
                                   {"kill -SEGV $$; sleep 5", 139, "Error"},
                                   {"no-such-program", 127, "Error"}};
  int serial = 0;
  for (const Case& c : cases) {
    // As a child of PID 1, so that signals have their default action.
    cri::ContainerConfig config =
        ContainerConfig("c" + std::to_string(++serial), {"sh", "-c", c.script});
    NamespaceOptions(&config)->set_pid(cri::NODE);
    NamespaceOptions(&pod_)->set_pid(cri::NODE);
    const cri::ContainerStatus status = RunToEnd(config);
    EXPECT_EQ(status.exit_code(), c.exit_code) << c.script;
    EXPECT_EQ(status.reason(), c.reason) << c.script;
    EXPECT_GE(status.finished_at(), status.started_at()) << c.script;
    EXPECT_GT(status.started_at(), 0) << c.script;
  }
}

TEST_F(ContainerLifecycleTest, MoreMemoryThanAllowedIsOomKilled) {
  cri::ContainerConfig config =
      ContainerConfig("eater", {"/probe", "eat", "200"});
  AddMount(&config, ProbePath(), "/probe", true);
  auto* resources = config.mutable_linux()->mutable_resources();
  resources->set_memory_limit_in_bytes(32 << 20);
  const cri::ContainerStatus status = RunToEnd(config);
  EXPECT_EQ(status.exit_code(), 137);
  EXPECT_EQ(status.reason(), "OOMKilled");
  EXPECT_EQ(status.resources().linux().memory_limit_in_bytes(), 32 << 20);
}

TEST_F(ContainerLifecycleTest, AProgramThatIsNotThereFailsTheStart) {
  for (const char* program : {"/no/such/program", "no-such-program", "/etc"}) {
    cri::ContainerConfig config = ContainerConfig("missing", {program});
    const auto id = client().CreateContainer(pod_id_, config, pod_);
    ASSERT_TRUE(id.ok()) << id.status();
    const absl::Status started = client().StartContainer(*id);
    EXPECT_FALSE(started.ok());
    EXPECT_THAT(std::string(started.message()), testing::HasSubstr(program));
    const cri::ContainerStatus status = StatusOf(*id);
    EXPECT_EQ(status.state(), cri::CONTAINER_EXITED);
    EXPECT_EQ(status.exit_code(), 128);
    EXPECT_EQ(status.reason(), "StartError");
    EXPECT_FALSE(status.message().empty());
    EXPECT_GT(status.finished_at(), 0);
    EXPECT_EQ(status.started_at(), 0);
    EXPECT_TRUE(client().RemoveContainer(*id).ok());
  }
}

TEST_F(ContainerLifecycleTest, StartWorksFromCreatedOnly) {
  const std::string id = Run(pod_id_, pod_, IdleConfig("main"));
  EXPECT_CODE(client().StartContainer(id), kFailedPrecondition);
  EXPECT_TRUE(client().StopContainer(id, 5).ok());
  EXPECT_CODE(client().StartContainer(id), kFailedPrecondition);
  EXPECT_TRUE(client().RemoveContainer(id).ok());
  EXPECT_CODE(client().StartContainer(id), kNotFound);
}

TEST_F(ContainerLifecycleTest, TheSameRequestAgainReturnsTheSameContainer) {
  const std::string id = Create(IdleConfig("main"));
  EXPECT_EQ(Create(IdleConfig("main")), id);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      CriClient own(daemon().socket());
      const auto again = own.CreateContainer(pod_id_, IdleConfig("main"), pod_);
      EXPECT_TRUE(again.ok()) << again.status();
      EXPECT_EQ(again.value_or(""), id);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(client().ListContainers()->size(), 1u);
  cri::ContainerConfig next = IdleConfig("main");
  next.mutable_metadata()->set_attempt(1);
  EXPECT_NE(Create(next), id);
}

// A kubelet that got no answer asks again: with another random file for the
// termination log, and its map of variables in another order.
TEST_F(ContainerLifecycleTest, REL_6_AKubeletsRetryGetsTheContainerItAskedFor) {
  const TempDirectory logs;
  const auto request = [&](const std::string& file,
                           const std::vector<std::string>& keys) {
    EXPECT_TRUE(WriteHostFile(logs.path() + "/" + file, ""));
    cri::ContainerConfig config = IdleConfig("main");
    (*config.mutable_annotations())["io.kubernetes.container.hash"] = "5f3e";
    cri::Mount* mount = config.add_mounts();
    mount->set_container_path("/dev/termination-log");
    mount->set_host_path(logs.path() + "/" + file);
    for (const std::string& key : keys) {
      cri::KeyValue* env = config.add_envs();
      env->set_key(key);
      env->set_value("of " + key);
    }
    return config;
  };
  const std::string id = Create(request("0a1b", {"A", "B", "C"}));
  EXPECT_EQ(Create(request("9f8e", {"C", "A", "B"})), id);
  cri::ContainerConfig other = request("0a1b", {"A", "B", "C"});
  (*other.mutable_annotations())["io.kubernetes.container.hash"] = "77";
  auto refused = client().CreateContainer(pod_id_, other, pod_);
  EXPECT_TRUE(absl::IsAlreadyExists(refused.status())) << refused.status();
  other = request("0a1b", {"A", "B", "C"});
  other.mutable_command()->Add("--more");
  refused = client().CreateContainer(pod_id_, other, pod_);
  EXPECT_TRUE(absl::IsAlreadyExists(refused.status())) << refused.status();
  EXPECT_THAT(std::string(refused.status().message()),
              testing::HasSubstr("command"));
  // What would be refused under a free name is no less wrong under a taken one.
  other = request("0a1b", {"A", "B", "C"});
  other.set_working_dir("not/absolute");
  refused = client().CreateContainer(pod_id_, other, pod_);
  EXPECT_TRUE(absl::IsInvalidArgument(refused.status())) << refused.status();
  EXPECT_EQ(client().ListContainers()->size(), 1u);
}

TEST_F(ContainerLifecycleTest, TwoStartsAtOnceRunItOnce) {
  const std::string id =
      Create(ShellConfig("main", "echo started; sleep 1000"));
  std::vector<std::thread> threads;
  std::atomic<int> worked = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      if (CriClient(daemon().socket()).StartContainer(id).ok()) ++worked;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(worked, 1);
  EXPECT_TRUE(Eventually([&] {
    return ReadHostFile(StatusOf(id).log_path()).find("started") !=
           std::string::npos;
  }));
  EXPECT_TRUE(client().StopContainer(id, 0).ok());
}

TEST_F(ContainerLifecycleTest, RemoveWorksInEveryStateAndIsIdempotent) {
  const std::string created = Create(IdleConfig("created"));
  const std::string running = Run(pod_id_, pod_, IdleConfig("running"));
  const std::string exited = Run(pod_id_, pod_, ShellConfig("exited", "true"));
  WaitExited(exited);
  const std::string log = StatusOf(exited).log_path();
  for (const std::string& id : {created, running, exited}) {
    EXPECT_TRUE(client().RemoveContainer(id).ok());
    EXPECT_CODE(client().ContainerStatus(id).status(), kNotFound);
    EXPECT_TRUE(client().RemoveContainer(id).ok()) << "a second time";
  }
  EXPECT_TRUE(HostFileExists(log)) << "log files stay";
  EXPECT_TRUE(client().RemoveContainer(std::string(64, 'f')).ok());
  EXPECT_CODE(client().RemoveContainer(""), kInvalidArgument);
}

TEST_F(ContainerLifecycleTest, ALimitThatIsAskedForIsInTheCgroup) {
  cri::ContainerConfig config = IdleConfig("limits");
  auto* resources = config.mutable_linux()->mutable_resources();
  resources->set_memory_limit_in_bytes(64 << 20);
  resources->set_cpu_shares(512);
  resources->set_cpu_quota(20000);
  resources->set_cpu_period(100000);
  resources->set_oom_score_adj(500);
  const std::string id = Run(pod_id_, pod_, config);
  const pid_t pid = HostPid(pod_id_, id);
  EXPECT_EQ(ReadHostFile("/proc/" + std::to_string(pid) + "/oom_score_adj"),
            "500\n");
  std::set<std::string> values;
  for (const std::string& directory : Cgroups()) {
    if (directory.find(id) == std::string::npos) continue;
    for (const char* file :
         {"memory.limit_in_bytes", "cpu.shares", "cpu.cfs_quota_us",
          "memory.max", "cpu.weight", "cpu.max"}) {
      const std::string text = ReadHostFile(directory + "/" + file);
      if (!text.empty()) values.insert(std::string(file) + "=" + text);
    }
  }
  EXPECT_THAT(values, testing::AnyOf(
                          testing::Contains("memory.limit_in_bytes=67108864\n"),
                          testing::Contains("memory.max=67108864\n")));
  EXPECT_THAT(values,
              testing::AnyOf(testing::Contains("cpu.cfs_quota_us=20000\n"),
                             testing::Contains("cpu.max=20000 100000\n")));
  EXPECT_EQ(StatusOf(id).resources().linux().cpu_shares(), 512);
}

TEST_F(ContainerLifecycleTest, AMissingPrivilegeIsClampedNotFatal) {
  cri::ContainerConfig config = IdleConfig("precious");
  config.mutable_linux()->mutable_resources()->set_oom_score_adj(-998);
  const std::string id = Run(pod_id_, pod_, config);
  EXPECT_EQ(StatusOf(id).state(), cri::CONTAINER_RUNNING);
}

}  // namespace
}  // namespace warren::test
