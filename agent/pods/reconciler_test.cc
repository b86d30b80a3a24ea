#include "agent/pods/reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "agent/pods/reconcile_loop.h"
#include "tests/fakes/remains.h"

namespace warren::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ReconcilerTest : public testing::Test {
 protected:
  test::StateDirectory state_;
  std::unique_ptr<CoreNode> node_ = std::make_unique<CoreNode>(state_.path());
};

TEST_F(ReconcilerTest, AnEmptyNode) {
  const auto report = node_->Reconcile();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->problems, IsEmpty());
  EXPECT_THAT(report->quarantined, IsEmpty());
}

TEST_F(ReconcilerTest, REL_1_RunningContainersRunOn) {
  const std::string pod = node_->MustRunPod("web");
  const std::string running = node_->MustStart(pod, "running");
  const std::string created = node_->MustCreate(pod, "created");
  const auto before = node_->sandboxes->Status(pod, false);
  const Remains remains = Bury(std::move(node_), state_.path());
  const auto next = Revive(remains);
  const auto report = next->Reconcile();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->problems, IsEmpty());
  EXPECT_EQ(report->sandboxes_adopted, 1);
  EXPECT_EQ(report->containers_adopted, 2);
  const auto after = next->sandboxes->Status(pod, false);
  EXPECT_EQ(after->SerializeAsString(), before->SerializeAsString());
  EXPECT_EQ(next->ContainerStatus(running).state(), cri::CONTAINER_RUNNING);
  EXPECT_EQ(next->faults.Count("Runtime.KillContainer"), 0);
  EXPECT_EQ(next->images.holds(), 2);
  EXPECT_THAT(next->network.leases(), ElementsAre(pod));
  // Both go on as if nothing had been: exits are seen, starts work, names are
  // taken.
  next->runtime.Exit(running, {9, 0, false, 0});
  EXPECT_EQ(next->AwaitExit(running).exit_code(), 9);
  EXPECT_TRUE(next->containers->Start(created, {}).ok());
  EXPECT_EQ(*next->RunPod("web"), pod);
  EXPECT_EQ(*next->Create(pod, "created"), created);
  RemoveAll(next.get());
  ExpectClean(next.get(), remains.state->path());
}

// A look that fails says nothing: no descriptor may have been left for it.
TEST_F(ReconcilerTest, REL_18_WhatCannotBeSeenIsKeptAndLookedAtAgain) {
  const std::string pod = node_->MustRunPod("web");
  const std::string id = node_->MustStart(pod, "main");
  const Remains remains = Bury(std::move(node_), state_.path());
  const auto next = Revive(remains);
  Reconciler reconciler(&next->runtime, &next->network, &next->images,
                        next->store.get(), next->sandboxes.get(),
                        next->containers.get(), &next->clock);
  next->faults.Fail("Runtime.AdoptContainer", 2);
  next->faults.Fail("Runtime.AdoptSandbox", 3);
  const auto report = reconciler.Adopt();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->unknown, SizeIs(2));
  EXPECT_FALSE(reconciler.Unknown().empty());
  const auto expect_untouched = [&] {
    EXPECT_EQ(next->ContainerStatus(id).state(), cri::CONTAINER_RUNNING);
    EXPECT_EQ(next->sandboxes->Status(pod, false)->status().state(),
              cri::SANDBOX_READY);
    EXPECT_EQ(next->faults.Count("Runtime.KillContainer"), 0);
    EXPECT_EQ(next->faults.Count("Runtime.StopSandbox"), 0);
    EXPECT_EQ(next->faults.Count("Runtime.RemoveContainer"), 0);
  };
  expect_untouched();
  // An object that a call works on is left to it.
  {
    const auto turn = (*next->store->FindContainer(id))->TryLock();
    ASSERT_TRUE(turn.held());
    EXPECT_THAT(test::SettleOnce(&reconciler).unknown, SizeIs(2));
    EXPECT_EQ(next->faults.Count("Runtime.AdoptContainer"), 1);
  }
  EXPECT_THAT(test::SettleOnce(&reconciler).unknown,
              SizeIs(2));  // both fail again
  expect_untouched();
  const ReconcileReport last = test::SettleOnce(&reconciler);
  EXPECT_THAT(last.unknown, IsEmpty());
  EXPECT_EQ(last.containers_adopted, 1);
  EXPECT_EQ(last.sandboxes_adopted, 1);
  EXPECT_TRUE(reconciler.Unknown().empty());
  expect_untouched();
  next->runtime.Exit(id, {9, 0, false, 0});
  EXPECT_EQ(next->AwaitExit(id).exit_code(), 9);
  RemoveAll(next.get());
  ExpectClean(next.get(), remains.state->path());
}

// A record that cannot be read belongs to somebody: what runs below it is no
// orphan, and nor is what a readable record says of it.
TEST_F(ReconcilerTest, REL_16_WhatAnUnreadableRecordOwnsIsLeftAlone) {
  for (const std::string kind : {"sandboxes", "containers"}) {
    test::StateDirectory state;
    auto node = std::make_unique<CoreNode>(state.path());
    const std::string pod = node->MustRunPod("web");
    const std::string id = node->MustStart(pod, "main");
    const Remains remains = Bury(std::move(node), state.path());
    const std::string root = remains.state->path();
    const std::string record = root + "/" + kind + "/" +
                               (kind == "sandboxes" ? pod : id) + "/record.pb";
    // It is damaged, and cannot be put aside either.
    std::filesystem::rename(record, root + "/kept");
    std::ofstream(record) << "torn";
    std::filesystem::remove_all(root + "/quarantine");
    std::ofstream(root + "/quarantine") << "x";
    const auto next = Revive(remains);
    Reconciler reconciler(&next->runtime, &next->network, &next->images,
                          next->store.get(), next->sandboxes.get(),
                          next->containers.get(), &next->clock);
    auto report = test::AdoptAndSettleOnce(&reconciler);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_FALSE(report->unknown.empty()) << kind;
    EXPECT_FALSE(reconciler.Unknown().empty());
    EXPECT_TRUE(absl::IsUnavailable(next->images.CollectGarbage())) << kind;
    for (const char* step : {"Runtime.KillContainer", "Runtime.RemoveContainer",
                             "Runtime.StopSandbox", "Runtime.RemoveSandbox"}) {
      EXPECT_EQ(next->faults.Count(step), 0) << kind << ": " << step;
    }
    EXPECT_THAT(next->network.leases().size() + next->network.links().size(),
                testing::Ge(1u))
        << kind;
    // It can be read again: everything goes on.
    std::filesystem::remove(root + "/quarantine");
    std::filesystem::rename(root + "/kept", record);
    while (!reconciler.Unknown().empty()) test::SettleOnce(&reconciler);
    EXPECT_TRUE(next->images.CollectGarbage().ok()) << kind;
    EXPECT_EQ(next->ContainerStatus(id).state(), cri::CONTAINER_RUNNING);
    EXPECT_EQ(next->sandboxes->Status(pod, false)->status().state(),
              cri::SANDBOX_READY);
    EXPECT_EQ(next->faults.Count("Runtime.KillContainer"), 0) << kind;
    next->runtime.Exit(id, {9, 0, false, 0});
    EXPECT_EQ(next->AwaitExit(id).exit_code(), 9);
    std::filesystem::create_directory(root + "/quarantine");
    RemoveAll(next.get());
    ExpectClean(next.get(), root);
  }
}

TEST_F(ReconcilerTest, WhatACallHasEndedIsNotUnknownAnyMore) {
  const std::string pod = node_->MustRunPod("web");
  const std::string removed = node_->MustRunPod("removed");
  const Remains remains = Bury(std::move(node_), state_.path());
  const auto next = Revive(remains);
  Reconciler reconciler(&next->runtime, &next->network, &next->images,
                        next->store.get(), next->sandboxes.get(),
                        next->containers.get(), &next->clock);
  next->faults.Fail("Runtime.AdoptSandbox", 2);
  EXPECT_THAT(reconciler.Adopt()->unknown, SizeIs(2));
  EXPECT_TRUE(next->sandboxes->Stop(pod, {}).ok());
  EXPECT_TRUE(next->sandboxes->Remove(removed, {}).ok());
  // Both are still with the loop, which tries again.
  ReconcileReport report;
  for (const std::string& id : {pod, removed}) {
    reconciler.Settle({ReconcileKey::Kind::kSandbox, id}, &report);
  }
  EXPECT_THAT(reconciler.Unknown(), IsEmpty());
  RemoveAll(next.get());
  ExpectClean(next.get(), remains.state->path());
}

TEST_F(ReconcilerTest, TheLoopLooksUntilNothingIsUnknown) {
  const std::string pod = node_->MustRunPod("web");
  const std::string id = node_->MustStart(pod, "main");
  const Remains remains = Bury(std::move(node_), state_.path());
  const auto next = Revive(remains);
  Reconciler reconciler(&next->runtime, &next->network, &next->images,
                        next->store.get(), next->sandboxes.get(),
                        next->containers.get(), &next->clock);
  next->faults.Fail("Runtime.AdoptContainer", 2);
  auto report = reconciler.Adopt();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->unknown, SizeIs(1));
  ReconcileLoop loop(&reconciler, next->store.get(),
                     next->containers->reconcile());
  while (!loop.unknown().empty()) {
    loop.Now();
    std::this_thread::yield();
  }
  EXPECT_EQ(next->faults.Count("Runtime.AdoptContainer"), 3);
  EXPECT_EQ(next->ContainerStatus(id).state(), cri::CONTAINER_RUNNING);
  RemoveAll(next.get());
  ExpectClean(next.get(), remains.state->path());
}

TEST_F(ReconcilerTest, ImagesOfVolumesStayHeld) {
  image::Image model = test::TestImage();
  model.id = "sha256:" + std::string(64, 'd');
  model.repo_tags = {"docker.io/library/model:1"};
  model.repo_digests = {};
  model.layer_dirs = {"/layers/model"};
  node_->images.Add(model);
  const std::string pod = node_->MustRunPod("web");
  cri::CreateContainerRequest request =
      test::ContainerRequest(pod, test::PodRequest("web").config(), "reader");
  cri::Mount* mount = request.mutable_config()->add_mounts();
  mount->set_container_path("/models");
  mount->mutable_image()->set_image("docker.io/library/model:1");
  const auto id = node_->containers->Create(request, CallContext());
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_EQ(node_->images.holds(), 2);
  ASSERT_TRUE(node_->images.Remove(model.id).ok());
  const Remains remains = Bury(std::move(node_), state_.path());
  const auto next = Revive(remains);
  ASSERT_TRUE(next->Reconcile().ok());
  EXPECT_EQ(next->images.holds(), 2);
  ASSERT_TRUE(next->images.CollectGarbage().ok());
  EXPECT_THAT(next->images.collected(), IsEmpty());
  EXPECT_TRUE(next->containers->Remove(*id, CallContext()).ok());
  EXPECT_EQ(next->images.holds(), 0);
  EXPECT_TRUE(next->sandboxes->Stop(pod, CallContext()).ok());
  EXPECT_TRUE(next->sandboxes->Remove(pod, CallContext()).ok());
}

TEST_F(ReconcilerTest, REL_1_ExitCodesOfThoseThatDiedMeanwhile) {
  const std::string pod = node_->MustRunPod("web");
  const std::string died = node_->MustStart(pod, "died");
  const std::string oom = node_->MustStart(pod, "oom");
  const std::string lost = node_->MustStart(pod, "lost");
  // The agent is dead when these happen: no callback reaches a manager.
  node_->runtime.ExitUnseen(died, {42, 0, false, 1'800'000'000'000'000'000});
  node_->runtime.ExitUnseen(oom, {137, 9, true, 1'800'000'000'000'000'000});
  node_->runtime.Lose(lost);
  const Remains remains = Bury(std::move(node_), state_.path());
  const auto next = Revive(remains);
  const auto report = next->Reconcile();
  EXPECT_EQ(report->exits_found, 3);
  EXPECT_EQ(next->ContainerStatus(died).exit_code(), 42);
  EXPECT_EQ(next->ContainerStatus(died).finished_at(),
            1'800'000'000'000'000'000);
  EXPECT_EQ(next->ContainerStatus(oom).reason(), "OOMKilled");
  EXPECT_EQ(next->ContainerStatus(lost).exit_code(), 255);
  EXPECT_EQ(next->ContainerStatus(lost).reason(), "Unknown");
  EXPECT_GT(next->ContainerStatus(lost).finished_at(), 0);
}

TEST_F(ReconcilerTest, APodWithAnEndedContainerCanBeStopped) {
  const std::string pod = node_->MustRunPod("web");
  cri::CreateContainerRequest request =
      test::ContainerRequest(pod, test::PodRequest("web").config(), "app");
  request.mutable_config()
      ->mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->set_pid(cri::POD);
  const std::string id = *node_->containers->Create(request, {});
  ASSERT_TRUE(node_->containers->Start(id, {}).ok());
  ASSERT_TRUE(node_->containers->Stop(id, 0, {}).ok());
  const Remains remains = Bury(std::move(node_), state_.path());
  const auto next = Revive(remains);
  EXPECT_THAT(next->Reconcile()->problems, IsEmpty());
  const absl::Status stopped = next->sandboxes->Stop(pod, {});
  EXPECT_TRUE(stopped.ok()) << stopped;
  RemoveAll(next.get());
  ExpectClean(next.get(), remains.state->path());
}

TEST_F(ReconcilerTest, REL_24_AfterAReboot) {
  const std::string pod = node_->MustRunPod("web");
  const std::string running = node_->MustStart(pod, "running");
  const std::string created = node_->MustCreate(pod, "created");
  Remains remains = Bury(std::move(node_), state_.path());
  remains.kernel = FakeKernel();  // all gone
  const auto next = Revive(remains, "boot-2");
  const auto report = next->Reconcile();
  EXPECT_THAT(report->problems, IsEmpty());
  EXPECT_EQ(next->sandboxes->Status(pod, false)->status().state(),
            cri::SANDBOX_NOTREADY);
  for (const std::string& id : {running, created}) {
    EXPECT_EQ(next->ContainerStatus(id).state(), cri::CONTAINER_EXITED);
    EXPECT_EQ(next->ContainerStatus(id).exit_code(), 255);
    EXPECT_EQ(next->ContainerStatus(id).reason(), "Unknown");
  }
  EXPECT_THAT(next->network.leases(), IsEmpty());
  EXPECT_THAT(next->images.collected(), IsEmpty());
  RemoveAll(next.get());
  ExpectClean(next.get(), remains.state->path());
}

TEST_F(ReconcilerTest, REL_5_OrphansAreRemoved) {
  Remains remains = Bury(std::move(node_), state_.path());
  remains.kernel.sandboxes[std::string(64, '1')] = {};
  remains.kernel.containers[std::string(64, '2')] = {};
  remains.kernel.links.insert(std::string(64, '3'));
  const auto next = Revive(remains);
  EXPECT_EQ(next->Reconcile()->orphans_removed, 3);
  ExpectClean(next.get(), remains.state->path());
}

TEST_F(ReconcilerTest, REL_25_APodWithoutItsNamespacesIsStopped) {
  const std::string pod = node_->MustRunPod("web");
  node_->MustStart(pod, "app");
  Remains remains = Bury(std::move(node_), state_.path());
  remains.kernel.sandboxes.erase(pod);
  const auto next = Revive(remains);
  const auto report = next->Reconcile();
  EXPECT_THAT(report->problems, SizeIs(1));
  EXPECT_EQ(next->sandboxes->Status(pod, false)->status().state(),
            cri::SANDBOX_NOTREADY);
  EXPECT_THAT(next->network.links(), IsEmpty());
  RemoveAll(next.get());
  ExpectClean(next.get(), remains.state->path());
}

TEST_F(ReconcilerTest, REL_16_ATornRecordCostsThatObjectOnly) {
  const std::string torn = node_->MustRunPod("torn");
  node_->MustStart(torn, "app");
  const std::string whole = node_->MustRunPod("whole");
  Remains remains = Bury(std::move(node_), state_.path());
  std::ofstream(remains.state->path() + "/sandboxes/" + torn + "/record.pb")
      << "garbage";
  const auto next = Revive(remains);
  const auto report = next->Reconcile();
  ASSERT_TRUE(report.ok());
  EXPECT_THAT(report->quarantined, ElementsAre("sandboxes-" + torn + ".0"));
  ASSERT_THAT(next->sandboxes->List({}), SizeIs(1));
  EXPECT_EQ(next->sandboxes->List({})[0].id(), whole);
  // Its kernel objects have no owner any more and are gone.
  EXPECT_THAT(next->kernel().containers, IsEmpty());
  EXPECT_THAT(next->network.links(), ElementsAre(whole));
}

TEST_F(ReconcilerTest, REL_26_ANewerRecordKeepsTheAgentFromStarting) {
  const std::string directory =
      state_.path() + "/sandboxes/" + std::string(64, '7');
  std::filesystem::create_directories(directory);
  std::ofstream(directory + "/record.pb") << std::string(
      "WARRENRC\x72\xb4\x65\x30\x03\0\0\0\x02\0\0\0\0\0\0\0hi", 26);
  EXPECT_TRUE(absl::IsFailedPrecondition(node_->Reconcile().status()));
  EXPECT_TRUE(std::filesystem::exists(directory + "/record.pb"));
}

TEST_F(ReconcilerTest, REL_7_WhatCannotBeUndoneStaysListed) {
  const std::string pod = node_->MustRunPod("web");
  node_->MustStart(pod, "app");
  Remains remains = Bury(std::move(node_), state_.path());
  const auto next = Revive(remains, "boot-2");
  next->faults.Fail("Network.Detach");
  const auto report = next->Reconcile();
  EXPECT_THAT(report->problems, SizeIs(1));
  EXPECT_THAT(next->sandboxes->List({}), SizeIs(1));
  RemoveAll(next.get());
  ExpectClean(next.get(), remains.state->path());
}

}  // namespace
}  // namespace warren::agent
