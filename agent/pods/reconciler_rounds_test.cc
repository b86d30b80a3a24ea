// What each round of the reconcile loop looks at, although nothing seems to be
// left to do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/fakes/living_node.h"
#include "tests/fakes/remains.h"

namespace warren::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ReconcilerRoundsTest : public testing::Test {
 protected:
  static bool Ready(LivingNode* node, const std::string& pod) {
    return (*node)->sandboxes->Status(pod, false)->status().state() ==
           cri::SANDBOX_READY;
  }
  static std::string Why(LivingNode* node, const std::string& pod) {
    return (*node)->sandboxes->Status(pod, true)->info().at("info");
  }
  // Two rounds, so that one of them began after this call.
  static void AwaitRounds(LivingNode* node) {
    for (int i = 0; i < 2; ++i) {
      const int seen = (*node)->faults.Count("Network.RemoveOrphans");
      node->loop().Now();
      Await([&] {
        return (*node)->faults.Count("Network.RemoveOrphans") > seen;
      });
    }
  }

  test::StateDirectory state_;
  std::unique_ptr<CoreNode> node_ = std::make_unique<CoreNode>(state_.path());
};

TEST_F(ReconcilerRoundsTest, REL_25_APodThatLostItsNamespacesIsNotReady) {
  LivingNode node(std::move(node_));
  node.Begin();
  const std::string pod = node->MustRunPod("web");
  const std::string other = node->MustRunPod("other");
  const std::string app = node->MustStart(pod, "app");
  AwaitRounds(&node);
  EXPECT_TRUE(Ready(&node, pod));
  node->runtime.DropPins(pod);
  node.loop().Now();
  Await([&] { return !Ready(&node, pod); });
  EXPECT_THAT(Why(&node, pod), HasSubstr("the pins are gone"));
  EXPECT_THAT(node.told(), ElementsAre(HasSubstr("the pins are gone")));
  AwaitRounds(&node);
  EXPECT_TRUE(Ready(&node, other));
  // Nobody asked for a stop.
  EXPECT_EQ(node->faults.Count("Runtime.StopSandbox"), 0);
  EXPECT_EQ(node->ContainerStatus(app).state(), cri::CONTAINER_RUNNING);
  EXPECT_THAT(node.loop().problems(), IsEmpty());
  RemoveAll(node.get());
  ExpectClean(node.get(), state_.path());
}

TEST_F(ReconcilerRoundsTest, REL_25_APodThatLostItsLinkIsNotReady) {
  LivingNode node(std::move(node_));
  node.Begin();
  const std::string pod = node->MustRunPod("web");
  node->network.DropLink(pod);
  node.loop().Now();
  Await([&] { return !Ready(&node, pod); });
  EXPECT_THAT(Why(&node, pod), HasSubstr("its link is gone"));
  RemoveAll(node.get());
  ExpectClean(node.get(), state_.path());
}

// EMFILE, say: that nobody can tell is no loss.
TEST_F(ReconcilerRoundsTest, REL_18_APodThatCannotBeLookedAtStaysReady) {
  LivingNode node(std::move(node_));
  node.Begin();
  const std::string pod = node->MustRunPod("web");
  for (const char* step : {"Runtime.AdoptSandbox", "Network.Check"}) {
    node->faults.Fail(step, 1000);
    const int before = node->faults.Count(step);
    node.loop().Now();
    Await([&] { return node->faults.Count(step) > before + 1; });
    EXPECT_TRUE(Ready(&node, pod)) << step;
    node->faults.Heal();
    Await([&] {
      node.loop().Now();
      return node.loop().problems().empty();
    });
    EXPECT_TRUE(Ready(&node, pod)) << step;
  }
  RemoveAll(node.get());
  ExpectClean(node.get(), state_.path());
}

// Its agent died before it had killed them.
TEST_F(ReconcilerRoundsTest, WhatAContainerLeftToAnEarlierAgentIsKilled) {
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
  node_->runtime.Exit(id, {3, 0, false, 1});
  EXPECT_EQ(node_->AwaitExit(id).exit_code(), 3);
  const Remains remains = Bury(std::move(node_), state_.path());
  ASSERT_TRUE(remains.kernel.containers.at(id).leftovers);
  LivingNode node(Revive(remains));
  EXPECT_TRUE(node->kernel().containers.at(id).leftovers)
      << "the start serves first";
  // That nobody can tell where they are shows, and is no end of it.
  node->faults.Fail("Runtime.AdoptContainer");
  node.Begin();
  Await([&] {
    node.loop().Now();
    return !node->kernel().containers.at(id).leftovers;
  });
  Await([&] { return node.loop().unknown().empty(); });
  EXPECT_EQ(node->ContainerStatus(id).exit_code(), 3);
  AwaitRounds(&node);
  EXPECT_EQ(node->faults.Count("Runtime.KillContainer"), 1);
  RemoveAll(node.get());
  ExpectClean(node.get(), remains.state->path());
}

}  // namespace
}  // namespace warren::agent
