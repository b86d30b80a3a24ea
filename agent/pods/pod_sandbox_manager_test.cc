#include "agent/pods/pod_sandbox_manager.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "agent/cri/ids.h"
#include "runtime/base/file.h"
#include "tests/fakes/core_node.h"

namespace warren::agent {
namespace {

using test::CoreNode;
using test::PodRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class PodSandboxManagerTest : public testing::Test {
 protected:
  cri::PodSandboxStatus Status(const std::string& id) {
    auto response = node_.sandboxes->Status(id, false);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->status() : cri::PodSandboxStatus();
  }
  std::vector<std::string> List(const cri::PodSandboxFilter& filter = {}) {
    std::vector<std::string> ids;
    for (const auto& item : node_.sandboxes->List(filter)) {
      ids.push_back(item.id());
    }
    return ids;
  }
  // Nothing of any pod is left, anywhere.
  void ExpectNothingLeft(CoreNode* node) {
    EXPECT_TRUE(node->kernel().Empty());
    EXPECT_THAT(node->network.leases(), IsEmpty());
    EXPECT_EQ(node->network.misuses(), 0);
    EXPECT_THAT(node->sandboxes->List({}), IsEmpty());
    EXPECT_EQ(node->images.holds(), 0);
  }

  test::StateDirectory state_;
  CoreNode node_{state_.path()};
};

TEST_F(PodSandboxManagerTest, RunShowsWhatWasAsked) {
  const auto id = node_.RunPod("web");
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_TRUE(IsId(*id));
  const cri::PodSandboxStatus status = Status(*id);
  EXPECT_EQ(status.id(), *id);
  EXPECT_EQ(status.metadata().name(), "web");
  EXPECT_EQ(status.metadata().uid(), "uid-web");
  EXPECT_EQ(status.state(), cri::SANDBOX_READY);
  EXPECT_GT(status.created_at(), 0);
  EXPECT_EQ(status.network().ip(), "10.1.0.1");
  ASSERT_EQ(status.network().additional_ips_size(), 1);
  EXPECT_EQ(status.network().additional_ips(0).ip(), "fd00:1::1");
  EXPECT_TRUE(status.linux().namespaces().has_options());
  EXPECT_EQ(status.labels().at("app"), "web");
  EXPECT_EQ(status.annotations().at("note"), "kept as it is");
  EXPECT_THAT(node_.faults.calls(),
              ElementsAre("Network.Prepare", "Runtime.CreateSandbox",
                          "Runtime.OpenSandboxNetns", "Network.Attach"));
}

TEST_F(PodSandboxManagerTest, VerboseInfoIsJson) {
  const std::string id = node_.MustRunPod("web");
  const auto response = node_.sandboxes->Status(id, true);
  const auto info =
      nlohmann::json::parse(response->info().at("info"), nullptr, false);
  ASSERT_FALSE(info.is_discarded());
  EXPECT_EQ(info["config"]["metadata"]["name"], "web");
  EXPECT_TRUE(info.contains("pid"));
  EXPECT_TRUE(info["timings"].contains("namespaces_us"));
}

TEST_F(PodSandboxManagerTest, HostNetworkNeedsNoLease) {
  cri::RunPodSandboxRequest request = PodRequest("host");
  request.mutable_config()
      ->mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->set_network(cri::NODE);
  const auto id = node_.sandboxes->Run(request, {});
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_THAT(node_.network.leases(), IsEmpty());
  EXPECT_TRUE(Status(*id).has_network());
  EXPECT_EQ(Status(*id).network().ip(), "");
  EXPECT_TRUE(node_.sandboxes->Remove(*id, {}).ok());
  ExpectNothingLeft(&node_);
}

TEST_F(PodSandboxManagerTest, BadRequestsTouchNothing) {
  cri::RunPodSandboxRequest request = PodRequest("web");
  request.set_runtime_handler("kata");
  EXPECT_TRUE(
      absl::IsInvalidArgument(node_.sandboxes->Run(request, {}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(node_.sandboxes->Run({}, {}).status()));
  EXPECT_THAT(node_.faults.calls(), IsEmpty());
}

TEST_F(PodSandboxManagerTest, REL_6_TheSameNameAgainIsTheSamePod) {
  const std::string id = node_.MustRunPod("web");
  EXPECT_EQ(*node_.RunPod("web"), id);
  EXPECT_EQ(node_.faults.Count("Runtime.CreateSandbox"), 1);
  // Another attempt is another pod.
  cri::RunPodSandboxRequest request = PodRequest("web");
  request.mutable_config()->mutable_metadata()->set_attempt(1);
  EXPECT_NE(*node_.sandboxes->Run(request, {}), id);
  // A stopped one keeps its name until it is removed.
  ASSERT_TRUE(node_.sandboxes->Stop(id, {}).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(node_.RunPod("web").status()));
  ASSERT_TRUE(node_.sandboxes->Remove(id, {}).ok());
  EXPECT_NE(*node_.RunPod("web"), id);
}

TEST_F(PodSandboxManagerTest, REL_6_AnotherRequestUnderATakenNameIsRefused) {
  const std::string id = node_.MustRunPod("web");
  cri::RunPodSandboxRequest request = PodRequest("web");
  request.mutable_config()->set_log_directory("/var/log/pods/elsewhere");
  EXPECT_EQ(*node_.sandboxes->Run(request, {}), id);
  request.mutable_config()->set_hostname("host-2");
  const absl::Status other = node_.sandboxes->Run(request, {}).status();
  EXPECT_TRUE(absl::IsAlreadyExists(other)) << other;
  EXPECT_THAT(std::string(other.message()),
              testing::HasSubstr("config.hostname"));
}

TEST_F(PodSandboxManagerTest, REL_6_ARetryWaitsForTheOneBeingMade) {
  const std::string pod = node_.MustRunPod("a");
  const std::string other = node_.MustCreate(pod, "c");
  // A sandbox in creation: its lock is held by another call.
  cri::RunPodSandboxRequest request = PodRequest("slow");
  std::vector<std::string> ids(8);
  std::vector<std::thread> threads;
  for (std::string& id : ids) {
    threads.emplace_back([&] { id = *node_.sandboxes->Run(request, {}); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& id : ids) EXPECT_EQ(id, ids[0]);
  EXPECT_EQ(node_.faults.Count("Runtime.CreateSandbox"), 2);
}

TEST_F(PodSandboxManagerTest, REL_7_EveryFailingStepLeavesNothing) {
  for (const char* step : {"Network.Prepare", "Runtime.CreateSandbox",
                           "Runtime.OpenSandboxNetns", "Network.Attach"}) {
    node_.faults.Fail(step);
    const auto failed = node_.RunPod("web");
    ASSERT_FALSE(failed.ok()) << step;
    EXPECT_EQ(failed.status().code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(failed.status().message()), HasSubstr(step));
    ExpectNothingLeft(&node_);
    EXPECT_THAT(*base::ListDir(AT_FDCWD, state_.path() + "/sandboxes"),
                IsEmpty());
    // The name is free again.
    const auto id = node_.RunPod("web");
    ASSERT_TRUE(id.ok()) << id.status();
    ASSERT_TRUE(node_.sandboxes->Remove(*id, {}).ok());
  }
}

TEST_F(PodSandboxManagerTest, REL_7_FailingUndoStaysListedUntilRemoved) {
  for (const char* undo : {"Runtime.RemoveSandbox", "Network.Detach"}) {
    node_.faults.Fail("Network.Attach");
    node_.faults.Fail(undo);
    const auto failed = node_.RunPod("web");
    EXPECT_THAT(std::string(failed.status().message()),
                HasSubstr("could not be undone"));
    ASSERT_THAT(List(), SizeIs(1)) << undo;
    const std::string id = List()[0];
    EXPECT_EQ(Status(id).state(), cri::SANDBOX_NOTREADY);
    EXPECT_TRUE(absl::IsFailedPrecondition(node_.Create(id, "c").status()));
    EXPECT_TRUE(node_.sandboxes->Stop(id, {}).ok());
    EXPECT_TRUE(node_.sandboxes->Remove(id, {}).ok());
    ExpectNothingLeft(&node_);
  }
}

TEST_F(PodSandboxManagerTest, StopKeepsItListedAndFreesTheNetwork) {
  const std::string id = node_.MustRunPod("web");
  const std::string app = node_.MustStart(id, "app");
  ASSERT_TRUE(node_.sandboxes->Stop(id, {}).ok());
  EXPECT_EQ(Status(id).state(), cri::SANDBOX_NOTREADY);
  EXPECT_EQ(Status(id).network().ip(), "");
  EXPECT_EQ(node_.ContainerStatus(app).state(), cri::CONTAINER_EXITED);
  EXPECT_EQ(node_.ContainerStatus(app).exit_code(), 137);
  EXPECT_THAT(node_.network.links(), IsEmpty());
  EXPECT_THAT(node_.network.leases(), IsEmpty());
  EXPECT_FALSE(node_.kernel().sandboxes.at(id).pinned);
  // Again: nothing is left to do.
  node_.faults.ClearCalls();
  EXPECT_TRUE(node_.sandboxes->Stop(id, {}).ok());
  EXPECT_THAT(node_.faults.calls(), IsEmpty());
}

TEST_F(PodSandboxManagerTest, ARepeatedStopContinuesWhereTheLastFailed) {
  for (const char* step :
       {"Runtime.KillContainer", "Network.Detach", "Runtime.StopSandbox"}) {
    const std::string id = node_.MustRunPod("web");
    node_.MustStart(id, "app");
    // Enough for the first shot and its repetition in the same call.
    node_.faults.Fail(step, 2);
    EXPECT_FALSE(node_.sandboxes->Stop(id, {}).ok()) << step;
    EXPECT_EQ(Status(id).state(), cri::SANDBOX_NOTREADY);
    node_.faults.Heal();
    EXPECT_TRUE(node_.sandboxes->Stop(id, {}).ok()) << step;
    EXPECT_TRUE(node_.sandboxes->Remove(id, {}).ok());
    ExpectNothingLeft(&node_);
  }
}

TEST_F(PodSandboxManagerTest, RemoveStopsAndTakesContainersAlong) {
  const std::string id = node_.MustRunPod("web");
  node_.MustStart(id, "running");
  node_.MustCreate(id, "created");
  ASSERT_TRUE(node_.sandboxes->Remove(id, {}).ok());
  ExpectNothingLeft(&node_);
  EXPECT_THAT(node_.containers->List({}), IsEmpty());
  EXPECT_TRUE(absl::IsNotFound(node_.sandboxes->Status(id, false).status()));
}

TEST_F(PodSandboxManagerTest, REL_7_AFailedRemoveCanBeRepeated) {
  const std::string id = node_.MustRunPod("web");
  node_.MustStart(id, "app");
  for (const char* step :
       {"Runtime.RemoveContainer", "Runtime.RemoveSandbox"}) {
    node_.faults.Fail(step);
    EXPECT_FALSE(node_.sandboxes->Remove(id, {}).ok());
    EXPECT_THAT(List(), ElementsAre(id));
  }
  EXPECT_TRUE(node_.sandboxes->Remove(id, {}).ok());
  ExpectNothingLeft(&node_);
}

TEST_F(PodSandboxManagerTest, API_7_Ids) {
  const std::string id = node_.MustRunPod("web");
  const std::string unknown(64, '0');
  EXPECT_TRUE(node_.sandboxes->Stop(unknown, {}).ok());
  EXPECT_TRUE(node_.sandboxes->Remove(unknown, {}).ok());
  EXPECT_TRUE(
      absl::IsNotFound(node_.sandboxes->Status(unknown, false).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(node_.sandboxes->Stop("", {})));
  EXPECT_TRUE(absl::IsInvalidArgument(node_.sandboxes->Remove("", {})));
  for (const std::string& odd :
       {std::string("../"), id + "0", "A" + id, std::string(1 << 20, 'x')}) {
    EXPECT_TRUE(node_.sandboxes->Remove(odd, {}).ok());
    EXPECT_TRUE(absl::IsNotFound(node_.sandboxes->Status(odd, false).status()));
  }
  EXPECT_EQ(Status(id.substr(0, 13)).id(), id);
  EXPECT_TRUE(node_.sandboxes->Remove(id.substr(0, 13), {}).ok());
  ExpectNothingLeft(&node_);
}

TEST_F(PodSandboxManagerTest, Filters) {
  const std::string a = node_.MustRunPod("a");
  node_.clock.Advance(1);
  const std::string b = node_.MustRunPod("b");
  ASSERT_TRUE(node_.sandboxes->Stop(a, {}).ok());
  EXPECT_THAT(List(), ElementsAre(b, a));  // newest first
  cri::PodSandboxFilter filter;
  filter.mutable_state()->set_state(cri::SANDBOX_READY);
  EXPECT_THAT(List(filter), ElementsAre(b));
  filter.mutable_state()->set_state(cri::SANDBOX_NOTREADY);
  EXPECT_THAT(List(filter), ElementsAre(a));
  (*filter.mutable_label_selector())["app"] = "b";
  EXPECT_THAT(List(filter), IsEmpty());
  filter.clear_state();
  EXPECT_THAT(List(filter), ElementsAre(b));
  filter.Clear();
  filter.set_id(a.substr(0, 20));
  EXPECT_THAT(List(filter), ElementsAre(a));
  filter.set_id("zz");
  EXPECT_THAT(List(filter), IsEmpty());
}

TEST_F(PodSandboxManagerTest, UpdateResourcesIsKeptAndShown) {
  const std::string id = node_.MustRunPod("web");
  cri::UpdatePodSandboxResourcesRequest request;
  request.set_pod_sandbox_id(id);
  request.mutable_resources()->set_cpu_shares(77);
  EXPECT_TRUE(node_.sandboxes->UpdateResources(request, {}).ok());
  EXPECT_THAT(node_.sandboxes->Status(id, true)->info().at("info"),
              HasSubstr("\"cpu_shares\":\"77\""));
  request.set_pod_sandbox_id(std::string(64, '0'));
  EXPECT_TRUE(absl::IsNotFound(node_.sandboxes->UpdateResources(request, {})));
}

class PodInitTest : public PodSandboxManagerTest {};

TEST_F(PodInitTest, ItsEndMakesThePodNotReadyAndSaysWhy) {
  const std::string pod = node_.MustRunPod("web");
  const std::string container = node_.MustCreate(pod, "made");
  node_.runtime.EndPodInit(pod);
  const auto status = node_.sandboxes->Status(pod, /*verbose=*/true);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->status().state(), cri::SANDBOX_NOTREADY);
  EXPECT_THAT(status->info().at("info"), HasSubstr("the pod init has ended"));
  for (const absl::Status& refused : {node_.Create(pod, "late").status(),
                                      node_.containers->Start(container, {})}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_THAT(refused.message(), HasSubstr("the pod init has ended"));
  }
  EXPECT_TRUE(node_.sandboxes->Stop(pod, {}).ok());
  EXPECT_TRUE(node_.sandboxes->Remove(pod, {}).ok());
  EXPECT_TRUE(node_.kernel().sandboxes.empty());
}

TEST_F(PodInitTest, ItsEndIsSeenWhileThePodIsStillBeingMade) {
  node_.faults.Observe([&](const std::string& step) {
    if (step != "Runtime.CreateSandbox") return;
    for (const auto& [id, sandbox] : node_.kernel().sandboxes) {
      node_.runtime.EndPodInit(id);
    }
  });
  const std::string pod = node_.MustRunPod("web");
  EXPECT_EQ(node_.sandboxes->Status(pod, false)->status().state(),
            cri::SANDBOX_NOTREADY);
}

TEST_F(PodInitTest, TheReasonOutlivesTheAgent) {
  std::string pod;
  {
    test::CoreNode first(state_.path());
    pod = first.MustRunPod("web");
    first.runtime.EndPodInit(pod);
  }
  test::CoreNode next(state_.path());
  ASSERT_TRUE(next.Reconcile().ok());
  const auto status = next.sandboxes->Status(pod, /*verbose=*/true);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->status().state(), cri::SANDBOX_NOTREADY);
  EXPECT_THAT(status->info().at("info"), HasSubstr("the pod init has ended"));
}

TEST_F(PodInitTest, OfAPodThatIsUnknownItMeansNothing) {
  node_.runtime.EndPodInit(std::string(64, 'a'));
  EXPECT_TRUE(node_.sandboxes->List({}).empty());
}

}  // namespace
}  // namespace warren::agent
