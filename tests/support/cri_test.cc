#include "tests/support/cri_test.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

namespace warren::test {
namespace {

// What all tests of the program share; deleted by the environment below, when
// gtest has run them all.
struct Shared {
  std::unique_ptr<WarrendProcess> daemon;
  std::unique_ptr<CriClient> client;
  Ledger ledger;         // with no pod, settled
  pid_t ledger_pid = 0;  // the daemon when it was taken
  size_t log_start = 0;  // of this test in the daemon's log
};
Shared& TheShared() {
  static auto* shared = new Shared;
  return *shared;
}

class SharedDaemon : public testing::Environment {
 public:
  void TearDown() override {
    Shared& shared = TheShared();
    shared.client.reset();
    if (shared.daemon != nullptr && shared.daemon->running()) {
      const auto code = shared.daemon->Terminate();
      EXPECT_TRUE(code.ok()) << code.status();
      if (code.ok()) {
        EXPECT_EQ(*code, 0) << shared.daemon->Log();
      }
    }
    shared.daemon.reset();
  }
};
const testing::Environment* const kSharedDaemon =
    testing::AddGlobalTestEnvironment(new SharedDaemon);

bool Ok(const absl::Status& status, const char* what) {
  EXPECT_TRUE(status.ok()) << what << ": " << status;
  return status.ok();
}

// The kernel drops a pod's link some time after the pod.
bool HasPodLink(Ledger& ledger) {
  for (const std::string& link : ledger["link"]) {
    if (absl::StartsWith(link, "wr") && absl::StrContains(link, "@")) {
      return true;
    }
  }
  return false;
}

}  // namespace

void CriTest::SetUpTestSuite() {
  if (TheShared().daemon != nullptr) return;
  TheShared().daemon = std::make_unique<WarrendProcess>();
}

void CriTest::SetUp() {
  Shared& shared = TheShared();
  shared.log_start = shared.daemon->LogSize();
  if (shared.daemon->running()) return;
  StartDaemon();
  if (HasFatalFailure()) return;
  // The first pod brings what stays: the bridge's carrier, caches.
  RunAlone(ShellConfig("warm-up", "true"));
  RemoveAllPods();
  EXPECT_TRUE(Eventually([] {
    Ledger ledger = TakeLedger(TheShared().daemon->Scope());
    return ledger["process"].empty() && !HasPodLink(ledger);
  }));
  shared.ledger = TakeLedger(shared.daemon->Scope());
  shared.ledger_pid = shared.daemon->pid();
}

void CriTest::TearDown() {
  Shared& shared = TheShared();
  if (!shared.daemon->running()) StartDaemon();
  if (!shared.daemon->running()) return;
  const absl::Status answers =
      shared.client->channel().WaitConnected(Patience(absl::Seconds(10)));
  if (!answers.ok()) {
    ADD_FAILURE() << "the daemon does not answer: " << shared.daemon->Log();
    shared.daemon->Kill();
    return;
  }
  RemoveAllPods();
  LedgerScope scope = shared.daemon->Scope();
  if (shared.ledger_pid != shared.daemon->pid()) {
    // Another process: its descriptors have nothing to be compared with.
    shared.ledger.erase("daemon fd");
    scope.descriptors = false;
  }
  const std::string diff = SettledDiff(shared.ledger, scope);
  EXPECT_EQ(diff, "") << "left behind";
  // What one test left is not held against the next.
  if (!diff.empty() || !scope.descriptors) {
    shared.ledger = TakeLedger(shared.daemon->Scope());
    shared.ledger_pid = shared.daemon->pid();
  }
  if (HasFailure()) {
    std::fprintf(stderr, "---- log of warrend ----\n%s\n----\n",
                 shared.daemon->Log(shared.log_start).c_str());
  }
}

CriClient& CriTest::client() { return *TheShared().client; }
WarrendProcess& CriTest::daemon() { return *TheShared().daemon; }

void CriTest::KillDaemon() { TheShared().daemon->Kill(); }

void CriTest::StartDaemon() {
  Shared& shared = TheShared();
  const absl::Status started = shared.daemon->Start();
  ASSERT_TRUE(started.ok()) << started;
  shared.client = std::make_unique<CriClient>(shared.daemon->socket());
}

cri::PodSandboxConfig CriTest::Pod(const std::string& name) {
  // Log files stay when their pods go: a directory for each test.
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  return PodConfig(name, absl::StrCat(daemon().log_dir(), "/", test->name()));
}

std::string CriTest::RunPod(const cri::PodSandboxConfig& config) {
  auto id = client().RunPodSandbox(config);
  return Ok(id.status(), "RunPodSandbox") ? *id : "";
}

std::string CriTest::Run(const std::string& pod_id,
                         const cri::PodSandboxConfig& pod_config,
                         const cri::ContainerConfig& config) {
  auto id = client().CreateContainer(pod_id, config, pod_config);
  if (!Ok(id.status(), "CreateContainer")) return "";
  Ok(client().StartContainer(*id), "StartContainer");
  return *id;
}

std::string CriTest::RunAlone(const cri::ContainerConfig& config,
                              std::string* pod_id) {
  const cri::PodSandboxConfig pod = Pod("pod-" + config.metadata().name());
  const std::string id = RunPod(pod);
  if (pod_id != nullptr) *pod_id = id;
  return id.empty() ? "" : Run(id, pod, config);
}

std::string CriTest::Output(const std::string& container_id,
                            const std::vector<std::string>& command) {
  auto result = client().ExecSync(container_id, command);
  if (!Ok(result.status(), "ExecSync")) return "";
  EXPECT_EQ(result->exit_code(), 0) << result->stderr();
  return result->stdout();
}

int CriTest::ExitCodeOf(const std::string& container_id,
                        const std::vector<std::string>& command) {
  auto result = client().ExecSync(container_id, command);
  return Ok(result.status(), "ExecSync") ? result->exit_code() : -1;
}

std::string CriTest::ShellOutput(const std::string& container_id,
                                 const std::string& script) {
  return Output(container_id, {"sh", "-c", script});
}

cri::ContainerStatus CriTest::StatusOf(const std::string& container_id) {
  auto status = client().ContainerStatus(container_id);
  return Ok(status.status(), "ContainerStatus") ? *status
                                                : cri::ContainerStatus();
}

cri::ContainerStatus CriTest::WaitExited(const std::string& container_id,
                                         absl::Duration patience) {
  cri::ContainerStatus status;
  const bool exited = Eventually(
      [&] {
        status = StatusOf(container_id);
        return HasFailure() || status.state() == cri::CONTAINER_EXITED;
      },
      patience);
  EXPECT_TRUE(exited) << "still in state " << status.state();
  return status;
}

void CriTest::RemoveAllPods() {
  auto pods = client().ListPodSandbox();
  if (!Ok(pods.status(), "ListPodSandbox")) return;
  for (const cri::PodSandbox& pod : *pods) {
    Ok(client().StopPodSandbox(pod.id()), "StopPodSandbox");
    Ok(client().RemovePodSandbox(pod.id()), "RemovePodSandbox");
  }
}

pid_t CriTest::HostPid(const std::string& pod_id,
                       const std::string& container_id) {
  auto view = client().InspectPodSandbox(pod_id);
  if (!Ok(view.status(), "InspectPodSandbox")) return 0;
  for (const node::ContainerView& container : view->containers()) {
    if (container.id() != container_id) continue;
    if (container.processes_size() > 0) {
      return container.processes(0).host_pid();
    }
  }
  ADD_FAILURE() << "no process of container " << container_id;
  return 0;
}

}  // namespace warren::test
