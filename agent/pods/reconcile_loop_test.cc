#include "agent/pods/reconcile_loop.h"

#include <absl/synchronization/notification.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/fakes/living_node.h"
#include "tests/fakes/remains.h"

// Every test that waits here ends long before the loop's timer comes: what it
// waits for is done by a trigger, or by a retry.
namespace warren::agent {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ReconcileLoopTest : public testing::Test {
 protected:
  test::StateDirectory state_;
  std::unique_ptr<CoreNode> node_ = std::make_unique<CoreNode>(state_.path());
};

TEST_F(ReconcileLoopTest, REL_5_OneOrphanThatSticksHoldsUpNoOther) {
  Remains remains = Bury(std::move(node_), state_.path());
  const std::string stuck(64, '1');
  const std::string other(64, '2');
  const std::string pod(64, '3');
  remains.kernel.containers[stuck] = {};
  remains.kernel.containers[other] = {};
  remains.kernel.sandboxes[pod] = {};
  LivingNode node(Revive(remains));
  absl::Notification let_go;
  node->runtime.HoldRemoval(stuck, &let_go);
  node.Begin();
  Await([&] { return node->kernel().containers.count(other) == 0; });
  EXPECT_EQ(node->kernel().containers.count(stuck), 1u);
  // Calls are served meanwhile.
  const std::string web = node->MustRunPod("web");
  const std::string id = node->MustStart(web, "app");
  EXPECT_EQ(node->ContainerStatus(id).state(), cri::CONTAINER_RUNNING);
  let_go.Notify();
  Await([&] { return node->kernel().containers.size() == 1u; });
  Await([&] { return node->kernel().sandboxes.size() == 1u; });
  EXPECT_EQ(node->kernel().sandboxes.count(web), 1u);
  EXPECT_EQ(node->runtime.overlaps(), 0);
}

// Namespaces that the runtime makes and drops while it prepares a container.
TEST_F(ReconcileLoopTest, WhatHelpsToMakeAContainerIsNoOrphan) {
  const std::string pod = node_->MustRunPod("web");
  const std::string app = node_->MustCreate(pod, "app");
  Remains remains = Bury(std::move(node_), state_.path());
  const std::string helper = "mappings-" + app;
  remains.kernel.sandboxes[helper] = {};
  remains.kernel.sandboxes["mappings-" + std::string(64, '1')] = {};
  LivingNode node(Revive(remains));
  node.Begin();
  Await([&] { return node->kernel().sandboxes.size() == 2u; });
  EXPECT_EQ(node->kernel().sandboxes.count(helper), 1u);
  EXPECT_TRUE(node->containers->Remove(app, {}).ok());
  node.loop().Now();
  Await([&] { return node->kernel().sandboxes.count(helper) == 0; });
  EXPECT_EQ(node->kernel().sandboxes.count(pod), 1u);
}

TEST_F(ReconcileLoopTest, REL_7_WhatFailsIsACondition) {
  Remains remains = Bury(std::move(node_), state_.path());
  remains.kernel.containers[std::string(64, '1')] = {};
  LivingNode node(Revive(remains));
  node->faults.Fail("Runtime.RemoveContainer", 1000);
  node.Begin();
  Await([&] { return node->faults.Count("Runtime.RemoveContainer") >= 1; });
  Await([&] { return !node.loop().problems().empty(); });
  const int before = node->faults.Count("Runtime.RemoveContainer");
  while (node->faults.Count("Runtime.RemoveContainer") < before + 5) {
    node.loop().Now();
    std::this_thread::yield();
  }
  EXPECT_THAT(node.loop().problems(),
              ElementsAre(HasSubstr("remove the unknown container 1111111")));
  // Told once, not once for each try.
  EXPECT_THAT(node.told(), SizeIs(1));
  EXPECT_EQ(node->faults.Count("Images.CollectGarbage"), 0)
      << "an orphan may still use layers";
  node->faults.Heal();
  Await([&] {
    node.loop().Now();
    return node.loop().problems().empty();
  });
  EXPECT_THAT(node->kernel().containers, IsEmpty());
  // The note is written after the collection.
  Await([&] {
    return testing::Value(node.notes(),
                          Contains(HasSubstr("1 orphans removed")));
  });
  EXPECT_EQ(node->faults.Count("Images.CollectGarbage"), 1);
  EXPECT_THAT(node.notes(), Contains(HasSubstr("no longer: remove the")));
}

// What was half-removed goes by itself, and before that it is in nobody's way.
TEST_F(ReconcileLoopTest, AnObjectThatGoesIsShownToNobodyAndFreesItsName) {
  const std::string pod = node_->MustRunPod("web");
  const std::string app = node_->MustStart(pod, "app");
  const std::string half = node_->MustRunPod("half");
  node_->faults.Fail("Runtime.RemoveContainer");
  EXPECT_FALSE(node_->containers->Remove(app, {}).ok());
  node_->faults.Fail("Runtime.RemoveSandbox");
  EXPECT_FALSE(node_->sandboxes->Remove(half, {}).ok());
  const Remains remains = Bury(std::move(node_), state_.path());
  LivingNode node(Revive(remains));
  EXPECT_THAT(node->sandboxes->List({}), SizeIs(1));
  EXPECT_THAT(node->containers->List({}), IsEmpty());
  EXPECT_TRUE(absl::IsNotFound(node->sandboxes->Status(half, false).status()));
  EXPECT_TRUE(absl::IsNotFound(node->containers->Status(app, false).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(node->Create(half, "late").status()));
  EXPECT_TRUE(node->sandboxes->Stop(half, {}).ok());
  // Who wants the name removes it first.
  const auto again = node->RunPod("half");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_NE(*again, half);
  const auto container = node->Create(pod, "app");
  ASSERT_TRUE(container.ok()) << container.status();
  EXPECT_NE(*container, app);
  EXPECT_EQ(node->kernel().sandboxes.count(half), 0u);
  EXPECT_EQ(node->kernel().containers.count(app), 0u);
  // Nobody's name: Remove is what a kubelet knows, and OK.
  EXPECT_TRUE(node->containers->Remove(app, {}).ok());
  node.Begin();
  RemoveAll(node.get());
  ExpectClean(node.get(), remains.state->path());
}

TEST_F(ReconcileLoopTest, REL_7_ARemovalThatFailsIsShownAgain) {
  const std::string half = node_->MustRunPod("half");
  node_->faults.Fail("Runtime.RemoveSandbox");
  EXPECT_FALSE(node_->sandboxes->Remove(half, {}).ok());
  const Remains remains = Bury(std::move(node_), state_.path());
  LivingNode node(Revive(remains));
  EXPECT_THAT(node->sandboxes->List({}), IsEmpty());
  node->faults.Fail("Runtime.RemoveSandbox", 1000);
  node.Begin();
  Await([&] { return !node->sandboxes->List({}).empty(); });
  EXPECT_EQ(node->sandboxes->Status(half, false)->status().state(),
            cri::SANDBOX_NOTREADY);
  node->faults.Heal();
  Await([&] {
    node.loop().Now();
    return node->sandboxes->List({}).empty();
  });
  ExpectClean(node.get(), remains.state->path());
}

TEST_F(ReconcileLoopTest, ABuildThatIsHalfUndoneIsUndoneLater) {
  LivingNode node(std::move(node_));
  node.Begin();
  node->faults.Fail("Network.Attach");
  node->faults.Fail("Runtime.RemoveSandbox", 2);
  EXPECT_THAT(std::string(node->RunPod("web").status().message()),
              HasSubstr("could not be undone"));
  Await([&] {
    node.loop().Now();
    return node->sandboxes->List({}).empty();
  });
  ExpectClean(node.get(), state_.path());
  const std::string pod = node->MustRunPod("web");
  // The same of a container, whose record cannot be written in the end.
  std::string directory;
  node->faults.Observe([&](const std::string& step) {
    if (step != "Runtime.CreateContainer") return;
    node->faults.Fail("Runtime.RemoveContainer", 2);
    directory = state_.path() + "/containers/" +
                node->kernel().containers.begin()->first;
    std::filesystem::remove_all(directory);
    std::ofstream(directory) << "no directory";
  });
  EXPECT_THAT(std::string(node->Create(pod, "app").status().message()),
              HasSubstr("could not be undone"));
  node->faults.Observe(nullptr);
  std::filesystem::remove(directory);
  Await([&] {
    node.loop().Now();
    return node->containers->List({}).empty();
  });
  RemoveAll(node.get());
  ExpectClean(node.get(), state_.path());
}

TEST_F(ReconcileLoopTest, WhatACallWorksOnIsLeftToIt) {
  const std::string half = node_->MustRunPod("half");
  node_->faults.Fail("Runtime.RemoveSandbox");
  EXPECT_FALSE(node_->sandboxes->Remove(half, {}).ok());
  const Remains remains = Bury(std::move(node_), state_.path());
  LivingNode node(Revive(remains));
  const PodSandboxPtr object = *node->store->FindSandbox(half);
  const auto untouched = [&] {
    // Later keys are done, and more than once.
    for (int i = 0; i < 3; ++i) {
      const int seen = node->faults.Count("Network.RemoveOrphans");
      node.loop().Now();
      Await([&] { return node->faults.Count("Network.RemoveOrphans") > seen; });
    }
    return node->faults.Count("Runtime.RemoveSandbox") == 0;
  };
  {
    const OperationLock::Guard turn = object->TryLock();
    ASSERT_TRUE(turn.held());
    node.Begin();
    EXPECT_TRUE(untouched());
    EXPECT_THAT(node.loop().problems(), IsEmpty()) << "busy is no problem";
  }
  Await([&] {
    node.loop().Now();
    return object->gone();
  });
  ExpectClean(node.get(), remains.state->path());
}

// A call that waits lets go of the lock, and still works on the object.
TEST_F(ReconcileLoopTest, ACallThatWaitsWithoutTheLockIsNotDisturbed) {
  LivingNode node(std::move(node_));
  node.Begin();
  const std::string pod = node->MustRunPod("web");
  node->runtime.SetManners({.unkillable = true});
  const std::string app = node->MustStart(pod, "app");
  std::thread stop([&] { EXPECT_TRUE(node->sandboxes->Stop(pod, {}).ok()); });
  Await([&] { return node->faults.Count("Runtime.KillContainer") > 0; });
  const PodSandboxPtr object = *node->store->FindSandbox(pod);
  for (int i = 0; i < 3; ++i) {
    const int seen = node->faults.Count("Network.RemoveOrphans");
    node.loop().Now();
    Await([&] { return node->faults.Count("Network.RemoveOrphans") > seen; });
    EXPECT_FALSE(object->TryLock().held());
  }
  node->runtime.Release(app);
  stop.join();
  EXPECT_TRUE(object->TryLock().held());
  RemoveAll(node.get());
}

TEST_F(ReconcileLoopTest, LeftoversThatDoNotDieAreKilledAgain) {
  LivingNode node(std::move(node_));
  node.Begin();
  const std::string pod = node->MustRunPod("web");
  cri::CreateContainerRequest request =
      test::ContainerRequest(pod, test::PodRequest("web").config(), "app");
  request.mutable_config()
      ->mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->set_pid(cri::POD);
  const std::string id = *node->containers->Create(request, {});
  ASSERT_TRUE(node->containers->Start(id, {}).ok());
  node->faults.Fail("Runtime.KillContainer", 2);
  node->runtime.Exit(id, {0, 0, false, 1});
  // An exit needs no scan.
  Await([&] { return !node->kernel().containers.at(id).leftovers; });
  EXPECT_EQ(node->faults.Count("Runtime.KillContainer"), 3);
  EXPECT_THAT(node.told(), SizeIs(1));
  RemoveAll(node.get());
}

// A stopped pod that was not taken down whole is, without another call.
TEST_F(ReconcileLoopTest, AStopThatFailedIsFinished) {
  LivingNode node(std::move(node_));
  node.Begin();
  const std::string pod = node->MustRunPod("web");
  node->faults.Fail("Network.Detach");
  EXPECT_FALSE(node->sandboxes->Stop(pod, {}).ok());
  EXPECT_THAT(node->network.leases(), ElementsAre(pod));
  node.loop().Now();
  Await([&] { return node->network.leases().empty(); });
  Await([&] { return !node->kernel().sandboxes.at(pod).pinned; });
  EXPECT_THAT(node->sandboxes->List({}), SizeIs(1)) << "it is not removed";
  RemoveAll(node.get());
}

// It ended by itself: its containers may have a grace left.
TEST_F(ReconcileLoopTest, APodWhosePodInitEndedIsLeftToTheKubelet) {
  LivingNode node(std::move(node_));
  node.Begin();
  const std::string pod = node->MustRunPod("web");
  const std::string app = node->MustStart(pod, "app");
  node->runtime.EndPodInit(pod);
  for (int i = 0; i < 3; ++i) {
    const int seen = node->faults.Count("Network.RemoveOrphans");
    node.loop().Now();
    Await([&] { return node->faults.Count("Network.RemoveOrphans") > seen; });
  }
  EXPECT_EQ(node->ContainerStatus(app).state(), cri::CONTAINER_RUNNING);
  EXPECT_EQ(node->faults.Count("Runtime.StopSandbox"), 0);
  RemoveAll(node.get());
}

}  // namespace
}  // namespace warren::agent
