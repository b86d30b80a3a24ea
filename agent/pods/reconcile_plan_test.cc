#include "agent/pods/reconcile_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::agent {
namespace {

namespace record = ::warren::record::v1;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

ReconcileAction OfSandbox(record::Phase phase, const char* boot) {
  ReconcileInput input;
  input.boot_id = "now";
  record::PodSandboxRecord& record = input.sandboxes.emplace_back();
  record.set_id("s");
  record.set_phase(phase);
  record.set_boot_id(boot);
  return Plan(input).sandboxes.at(0).action;
}

ReconcileAction OfContainer(record::Phase phase, const char* boot,
                            record::Phase pod = record::RUNNING) {
  ReconcileInput input;
  input.boot_id = "now";
  record::PodSandboxRecord& sandbox = input.sandboxes.emplace_back();
  sandbox.set_id("s");
  sandbox.set_phase(pod);
  record::ContainerRecord& record = input.containers.emplace_back();
  record.set_id("c");
  record.set_sandbox_id("s");
  record.set_phase(phase);
  record.set_boot_id(boot);
  return Plan(input).containers.at(0).action;
}

// As above, of one that this agent has seen.
ReconcileAction OfSeenContainer(record::Phase phase, bool suspect,
                                bool updating) {
  ReconcileInput input;
  input.boot_id = "now";
  record::PodSandboxRecord& sandbox = input.sandboxes.emplace_back();
  sandbox.set_id("s");
  sandbox.set_phase(record::RUNNING);
  record::ContainerRecord& record = input.containers.emplace_back();
  record.set_id("c");
  record.set_sandbox_id("s");
  record.set_phase(phase);
  record.set_boot_id("now");
  if (updating) record.mutable_pending_resources()->set_cpu_shares(2);
  input.seen = {"c", "s"};
  if (suspect) input.suspects = {"c"};
  return Plan(input).containers.at(0).action;
}

TEST(ReconcilePlan, WhatWasSeenIsAdoptedOnce) {
  using enum ReconcileAction;
  for (record::Phase phase :
       {record::CREATED, record::STARTING, record::RUNNING}) {
    EXPECT_EQ(OfSeenContainer(phase, false, false), kKeep);
    EXPECT_EQ(OfSeenContainer(phase, true, false), kKeep);
    EXPECT_EQ(OfSeenContainer(phase, false, true), kSettleUpdate);
  }
  EXPECT_EQ(OfSeenContainer(record::EXITED, false, false), kKeep);
  EXPECT_EQ(OfSeenContainer(record::EXITED, true, false), kKillLeftovers);
  EXPECT_EQ(OfSeenContainer(record::REMOVING, true, false), kRemove);
  ReconcileInput input;
  input.boot_id = "now";
  record::PodSandboxRecord& record = input.sandboxes.emplace_back();
  record.set_id("s");
  record.set_boot_id("now");
  record.set_phase(record::RUNNING);
  input.seen = {"s"};
  EXPECT_EQ(Plan(input).sandboxes[0].action, kLook);
}

TEST(ReconcilePlan, AStopIsFinishedOnceAndOnlyIfSomebodyAskedForIt) {
  using enum ReconcileAction;
  ReconcileInput input;
  input.boot_id = "now";
  record::PodSandboxRecord& record = input.sandboxes.emplace_back();
  record.set_id("s");
  record.set_boot_id("now");
  record.set_phase(record::EXITED);
  EXPECT_EQ(Plan(input).sandboxes[0].action, kFinishStop);
  input.stopped = {"s"};
  EXPECT_EQ(Plan(input).sandboxes[0].action, kKeep);
  input.stopped = {};
  record.set_ended_because("its pod init ended");
  EXPECT_EQ(Plan(input).sandboxes[0].action, kKeep);
  record.set_boot_id("before");
  EXPECT_EQ(Plan(input).sandboxes[0].action, kFinishStop);
}

TEST(ReconcilePlan, WhatIsUnknownIsLeft) {
  ReconcileInput input;
  input.boot_id = "now";
  record::ContainerRecord& record = input.containers.emplace_back();
  record.set_id("c");
  record.set_sandbox_id("s");
  record.set_phase(record::RUNNING);
  input.kernel_sandboxes = {"s", "t"};
  input.kernel_containers = {"c", "d", "e"};
  input.unknown = {"s", "d"};
  const ReconcilePlan plan = Plan(input);
  EXPECT_EQ(plan.containers[0].action, ReconcileAction::kLeave);
  EXPECT_THAT(plan.orphan_sandboxes, ElementsAre("t"));
  EXPECT_THAT(plan.orphan_containers, ElementsAre("e"));
}

TEST(ReconcilePlan, Sandboxes) {
  using enum ReconcileAction;
  for (const char* boot : {"now", "before"}) {
    EXPECT_EQ(OfSandbox(record::CREATING, boot), kRemove);
    EXPECT_EQ(OfSandbox(record::EXITED, boot), kFinishStop);
    EXPECT_EQ(OfSandbox(record::REMOVING, boot), kRemove);
  }
  EXPECT_EQ(OfSandbox(record::RUNNING, "now"), kAdopt);
  EXPECT_EQ(OfSandbox(record::RUNNING, "before"), kEnd);
}

TEST(ReconcilePlan, Containers) {
  using enum ReconcileAction;
  for (const char* boot : {"now", "before"}) {
    EXPECT_EQ(OfContainer(record::CREATING, boot), kRemove);
    EXPECT_EQ(OfContainer(record::EXITED, boot), kKeep);
    EXPECT_EQ(OfContainer(record::REMOVING, boot), kRemove);
  }
  for (record::Phase phase :
       {record::CREATED, record::STARTING, record::RUNNING}) {
    EXPECT_EQ(OfContainer(phase, "now"), kAdopt);
    EXPECT_EQ(OfContainer(phase, "before"), kEnd);
    // Its pod is stopped and being finished: the container is adopted first.
    EXPECT_EQ(OfContainer(phase, "now", record::EXITED), kAdopt);
    // Its pod goes altogether.
    EXPECT_EQ(OfContainer(phase, "now", record::REMOVING), kRemove);
    EXPECT_EQ(OfContainer(phase, "now", record::CREATING), kRemove);
  }
}

TEST(ReconcilePlan, ContainerWithoutSandboxRecordIsRemoved) {
  ReconcileInput input;
  record::ContainerRecord& record = input.containers.emplace_back();
  record.set_id("c");
  record.set_sandbox_id("gone");
  record.set_phase(record::RUNNING);
  EXPECT_THAT(Plan(input).containers,
              ElementsAre(ReconcileStep{"c", ReconcileAction::kRemove}));
}

TEST(ReconcilePlan, REL_5_KernelObjectsWithoutRecordAreOrphans) {
  ReconcileInput input;
  input.sandboxes.emplace_back().set_id("s1");
  input.containers.emplace_back().set_id("c1");
  input.kernel_sandboxes = {"s1", "s2"};
  input.kernel_containers = {"c2", "c1", "c3"};
  const ReconcilePlan plan = Plan(input);
  EXPECT_THAT(plan.orphan_sandboxes, ElementsAre("s2"));
  EXPECT_THAT(plan.orphan_containers, ElementsAre("c2", "c3"));
  EXPECT_THAT(Plan({}).orphan_sandboxes, IsEmpty());
}

}  // namespace
}  // namespace warren::agent
