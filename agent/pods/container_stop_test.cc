#include <absl/synchronization/notification.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "agent/pods/container_manager.h"
#include "agent/pods/reconcile_loop.h"
#include "agent/store/lifecycle.h"
#include "tests/fakes/core_node.h"

namespace warren::agent {
namespace {

using test::CoreNode;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr int64_t kSecond = 1'000'000'000;

class ContainerStopTest : public testing::Test {
 protected:
  ContainerStopTest() { pod_ = node_.MustRunPod("web"); }

  static cri::UpdateContainerResourcesRequest UpdateOf(const std::string& id) {
    cri::UpdateContainerResourcesRequest request;
    request.set_container_id(id);
    request.mutable_linux()->set_cpu_shares(512);
    return request;
  }
  // Waits until `count` stop signals went out.
  void AwaitSignals(size_t count) {
    while (node_.runtime.signals().size() < count) std::this_thread::yield();
  }

  test::StateDirectory state_;
  CoreNode node_{state_.path()};
  std::string pod_;
};

TEST_F(ContainerStopTest, StopSignalThenExit) {
  const std::string id = node_.MustStart(pod_, "app");
  ASSERT_TRUE(node_.containers->Stop(id, 30, {}).ok());
  EXPECT_THAT(node_.runtime.signals(), ElementsAre(Pair(id, SIGTERM)));
  EXPECT_EQ(node_.ContainerStatus(id).exit_code(), 128 + SIGTERM);
  EXPECT_EQ(node_.ContainerStatus(id).state(), cri::CONTAINER_EXITED);
  EXPECT_EQ(node_.faults.Count("Runtime.KillContainer"), 0);
}

TEST_F(ContainerStopTest, WithoutGraceItIsKilledAtOnce) {
  for (int64_t timeout : {0, -5}) {
    const std::string id =
        node_.MustStart(pod_, "app" + std::to_string(timeout));
    ASSERT_TRUE(node_.containers->Stop(id, timeout, {}).ok());
    EXPECT_EQ(node_.ContainerStatus(id).exit_code(), 137);
  }
  EXPECT_THAT(node_.runtime.signals(), IsEmpty());
}

TEST_F(ContainerStopTest, WithoutASignalThereIsNoGrace) {
  const std::string id = node_.MustStart(pod_, "app");
  node_.faults.Fail("Runtime.SignalContainer");
  ASSERT_TRUE(node_.containers->Stop(id, 1000, {}).ok());
  EXPECT_EQ(node_.ContainerStatus(id).exit_code(), 137);
}

TEST_F(ContainerStopTest, IdempotentInEveryState) {
  EXPECT_TRUE(node_.containers->Stop(std::string(64, '0'), 5, {}).ok());
  EXPECT_TRUE(node_.containers->Remove(std::string(64, '0'), {}).ok());
  const std::string created = node_.MustCreate(pod_, "created");
  EXPECT_TRUE(node_.containers->Stop(created, 5, {}).ok());
  EXPECT_EQ(node_.ContainerStatus(created).state(), cri::CONTAINER_CREATED);
  const std::string id = node_.MustStart(pod_, "app");
  EXPECT_TRUE(node_.containers->Stop(id, 0, {}).ok());
  EXPECT_TRUE(node_.containers->Stop(id, 5, {}).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(node_.containers->Stop("", 5, {})));
}

TEST_F(ContainerStopTest, REL_11_GraceIsWholeAndOnTheMonotonicClock) {
  node_.runtime.SetManners({.ignore_signals = true});
  const std::string id = node_.MustStart(pod_, "app");
  std::atomic<bool> done{false};
  std::thread stop([&] {
    EXPECT_TRUE(node_.containers->Stop(id, 10, {}).ok());
    done = true;
  });
  AwaitSignals(1);
  node_.clock.JumpWallClock(86'400 * kSecond);  // REL-23
  node_.clock.Advance(10 * kSecond - 1);
  EXPECT_EQ(node_.ContainerStatus(id).state(), cri::CONTAINER_RUNNING);
  EXPECT_EQ(node_.faults.Count("Runtime.KillContainer"), 0);
  EXPECT_FALSE(done);
  node_.clock.Advance(1);
  stop.join();
  EXPECT_EQ(node_.ContainerStatus(id).exit_code(), 137);
  EXPECT_EQ(node_.faults.Count("Runtime.KillContainer"), 1);
}

TEST_F(ContainerStopTest, TheShorterGraceWinsAndTheSignalGoesOutOnce) {
  node_.runtime.SetManners({.ignore_signals = true});
  const std::string id = node_.MustStart(pod_, "app");
  std::thread patient(
      [&] { EXPECT_TRUE(node_.containers->Stop(id, 1000, {}).ok()); });
  AwaitSignals(1);
  std::thread hasty(
      [&] { EXPECT_TRUE(node_.containers->Stop(id, 5, {}).ok()); });
  const ContainerPtr container = *node_.store->FindContainer(id);
  while (container->kill_at() > node_.clock.MonotonicNow() + 5 * kSecond) {
    std::this_thread::yield();
  }
  node_.clock.Advance(5 * kSecond);
  hasty.join();
  patient.join();
  EXPECT_EQ(node_.ContainerStatus(id).exit_code(), 137);
  EXPECT_EQ(node_.runtime.signals().size(), 1u);
}

TEST_F(ContainerStopTest, REL_12_ACancelledStopKillsNothing) {
  node_.runtime.SetManners({.ignore_signals = true});
  const std::string id = node_.MustStart(pod_, "app");
  std::atomic<bool> gone{false};
  CallContext call;
  call.deadline =
      base::Deadline::Never().CancelledBy([&] { return gone.load(); });
  std::thread stop([&] {
    EXPECT_TRUE(absl::IsCancelled(node_.containers->Stop(id, 1000, call)));
  });
  AwaitSignals(1);
  gone = true;
  stop.join();
  EXPECT_EQ(node_.faults.Count("Runtime.KillContainer"), 0);
  EXPECT_EQ(node_.ContainerStatus(id).state(), cri::CONTAINER_RUNNING);
  // A later stop starts anew.
  EXPECT_EQ((*node_.store->FindContainer(id))->kill_at(), INT64_MAX);
  EXPECT_TRUE(node_.containers->Stop(id, 0, {}).ok());
}

TEST_F(ContainerStopTest, REL_11_WhatDoesNotDieIsADeadlineAndHurtsNobody) {
  node_.runtime.SetManners({.unkillable = true});
  const std::string id = node_.MustStart(pod_, "stuck");
  node_.runtime.SetManners({});
  CallContext call;
  call.deadline = base::Deadline::After(absl::Milliseconds(80));
  EXPECT_TRUE(absl::IsDeadlineExceeded(node_.containers->Stop(id, 0, call)));
  EXPECT_EQ(node_.ContainerStatus(id).state(), cri::CONTAINER_RUNNING);
  const std::string other = node_.MustStart(pod_, "other");
  EXPECT_TRUE(node_.containers->Stop(other, 0, {}).ok());
  node_.runtime.Release(id);
  EXPECT_TRUE(node_.containers->Stop(id, 0, {}).ok());
}

TEST_F(ContainerStopTest, REL_11_KillIsRepeatedAndEndsWithItsPatience) {
  node_.runtime.SetManners({.unkillable = true});
  const std::string id = node_.MustStart(pod_, "stuck");
  std::thread stop([&] {
    EXPECT_TRUE(absl::IsDeadlineExceeded(node_.containers->Stop(id, 0, {})));
  });
  while (node_.faults.Count("Runtime.KillContainer") < 1) {
    std::this_thread::yield();
  }
  node_.clock.Advance(kSecond);
  while (node_.faults.Count("Runtime.KillContainer") < 2) {
    std::this_thread::yield();
  }
  node_.clock.Advance(60 * kSecond);
  stop.join();
  node_.runtime.Release(id);
}

// So a drain of containers that do not die holds no thread of a worker.
TEST_F(ContainerStopTest, REL_12_AStopThatWaitsForADeathIsAPause) {
  node_.runtime.SetManners({.unkillable = true});
  const std::string id = node_.MustStart(pod_, "stuck");
  const auto stop = node_.containers->BeginStop(id, 0, {});
  const absl::StatusOr<std::optional<Pause>> pause = stop->Next();
  ASSERT_TRUE(pause.ok()) << pause.status();
  ASSERT_TRUE(pause->has_value()) << "it waited on this thread";
  EXPECT_EQ(node_.faults.Count("Runtime.KillContainer"), 1);
  absl::Notification woken;
  const auto unwatch = (*pause)->watch([&] {
    if (!woken.HasBeenNotified()) woken.Notify();
  });
  node_.runtime.Release(id);
  woken.WaitForNotification();
  unwatch();
  const auto last = stop->Next();
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_FALSE(last->has_value());
  EXPECT_EQ(node_.ContainerStatus(id).exit_code(), 137);
}

TEST_F(ContainerStopTest, REL_11_NoLockIsHeldWhileAContainerDies) {
  node_.runtime.SetManners({.unkillable = true});
  const std::string id = node_.MustStart(pod_, "stuck");
  std::thread stop(
      [&] { EXPECT_TRUE(node_.containers->Stop(id, 0, {}).ok()); });
  while (node_.faults.Count("Runtime.KillContainer") < 1) {
    std::this_thread::yield();
  }
  // The calls below would wait for the stop otherwise, for ever.
  EXPECT_TRUE((*node_.store->FindContainer(id))->Lock({}).ok());
  EXPECT_TRUE(node_.containers->ReopenLog(id, {}).ok());
  EXPECT_TRUE(node_.containers->UpdateResources(UpdateOf(id), {}).ok());
  EXPECT_EQ(node_.ContainerStatus(id).state(), cri::CONTAINER_RUNNING);
  node_.runtime.Release(id);
  stop.join();
  EXPECT_EQ(node_.runtime.overlaps(), 0);
}

TEST_F(ContainerStopTest, REL_11_ContainersOfAPodDieSideBySide) {
  node_.runtime.SetManners({.unkillable = true});
  std::vector<std::string> ids;
  for (const char* name : {"a", "b", "c"}) {
    ids.push_back(node_.MustStart(pod_, name));
  }
  std::thread stop([&] { EXPECT_TRUE(node_.sandboxes->Stop(pod_, {}).ok()); });
  // All were shot before the first is dead.
  while (node_.faults.Count("Runtime.KillContainer") < 3) {
    std::this_thread::yield();
  }
  // Nor does the pod's own turn wait for them.
  EXPECT_TRUE((*node_.store->FindSandbox(pod_))->Lock({}).ok());
  for (const std::string& id : ids) node_.runtime.Release(id);
  stop.join();
  EXPECT_TRUE(node_.sandboxes->Remove(pod_, {}).ok());
  EXPECT_EQ(node_.runtime.overlaps(), 0);
}

TEST_F(ContainerStopTest, REL_11_OneThatCannotBeKilledKeepsNoOtherAlive) {
  const std::string bad = node_.MustStart(pod_, "a");
  const std::string good = node_.MustStart(pod_, "b");
  node_.faults.Fail("Runtime.KillContainer");
  EXPECT_FALSE(node_.sandboxes->Stop(pod_, {}).ok());
  EXPECT_EQ(node_.ContainerStatus(good).state() == cri::CONTAINER_EXITED,
            node_.ContainerStatus(bad).state() == cri::CONTAINER_RUNNING);
  EXPECT_TRUE(node_.sandboxes->Stop(pod_, {}).ok());
}

TEST_F(ContainerStopTest, REL_11_AStopReturnsOnceTheLeftoversAreDead) {
  cri::CreateContainerRequest request =
      test::ContainerRequest(pod_, test::PodRequest("web").config(), "app");
  request.mutable_config()
      ->mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->set_pid(cri::POD);
  const std::string id = *node_.containers->Create(request, {});
  ASSERT_TRUE(node_.containers->Start(id, {}).ok());
  EXPECT_TRUE(node_.containers->Stop(id, 30, {}).ok());
  EXPECT_FALSE(node_.kernel().containers.at(id).leftovers);
  EXPECT_EQ(node_.faults.Count("Runtime.AwaitContainerDeath"), 1);
}

TEST_F(ContainerStopTest, SharedPidNamespaceLeavesNobodyBehind) {
  Reconciler reconciler(&node_.runtime, &node_.network, &node_.images,
                        node_.store.get(), node_.sandboxes.get(),
                        node_.containers.get(), &node_.clock);
  ReconcileLoop loop(&reconciler, node_.store.get(),
                     node_.containers->reconcile());
  // POD: the kernel does not end the rest with the first process.
  cri::CreateContainerRequest request =
      test::ContainerRequest(pod_, test::PodRequest("web").config(), "app");
  request.mutable_config()
      ->mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->set_pid(cri::POD);
  const std::string id = *node_.containers->Create(request, {});
  ASSERT_TRUE(node_.containers->Start(id, {}).ok());
  EXPECT_TRUE(node_.kernel().containers.at(id).leftovers);
  node_.runtime.Exit(id, {0, 0, false, 1});
  node_.AwaitExit(id);
  while (node_.kernel().containers.at(id).leftovers) {
    std::this_thread::yield();
  }
}

TEST_F(ContainerStopTest, RemoveKillsWhatRuns) {
  const std::string id = node_.MustStart(pod_, "app");
  ASSERT_TRUE(node_.containers->Remove(id, {}).ok());
  EXPECT_THAT(node_.kernel().containers, IsEmpty());
  EXPECT_THAT(node_.runtime.signals(), IsEmpty());
}

TEST_F(ContainerStopTest, AFailedRemoveCanBeRepeated) {
  const std::string id = node_.MustStart(pod_, "app");
  node_.faults.Fail("Runtime.RemoveContainer");
  EXPECT_FALSE(node_.containers->Remove(id, {}).ok());
  EXPECT_EQ(node_.ContainerStatus(id).state(), cri::CONTAINER_EXITED);
  EXPECT_TRUE(node_.containers->Remove(id, {}).ok());
  EXPECT_EQ(node_.images.holds(), 0);
}

TEST_F(ContainerStopTest, ExecSessionsDieWithTheContainer) {
  const std::string id = node_.MustStart(pod_, "app");
  cri::ExecSyncRequest request;
  request.set_container_id(id);
  request.add_cmd("sleep");
  std::thread exec([&] {
    EXPECT_TRUE(absl::IsFailedPrecondition(
        node_.containers->ExecSync(request, {}).status()));
  });
  node_.runtime.WaitForExec(1);
  EXPECT_TRUE(node_.containers->Remove(id, {}).ok());
  exec.join();
}

TEST_F(ContainerStopTest, ExecTimeoutAndCancel) {
  const std::string id = node_.MustStart(pod_, "app");
  cri::ExecSyncRequest request;
  request.set_container_id(id);
  request.add_cmd("sleep");
  request.set_timeout(1);
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      node_.containers->ExecSync(request, {}).status()));
  request.set_timeout(0);
  std::atomic<bool> gone{false};
  CallContext call;
  call.deadline =
      base::Deadline::Never().CancelledBy([&] { return gone.load(); });
  std::thread exec([&] {
    EXPECT_TRUE(
        absl::IsCancelled(node_.containers->ExecSync(request, call).status()));
  });
  node_.runtime.WaitForExec(1);
  gone = true;
  exec.join();
}

TEST_F(ContainerStopTest, REL_12_ListsAndOthersDoNotWaitForASlowObject) {
  const std::string slow = node_.MustCreate(pod_, "slow");
  node_.runtime.CloseGate();
  std::thread start(
      [&] { EXPECT_TRUE(node_.containers->Start(slow, {}).ok()); });
  node_.runtime.WaitAtGate(1);
  EXPECT_EQ(node_.containers->List({}).size(), 1u);
  EXPECT_EQ(node_.ContainerStatus(slow).state(), cri::CONTAINER_CREATED);
  const std::string other = node_.MustCreate(pod_, "other");
  EXPECT_TRUE(node_.containers->Remove(other, {}).ok());
  // Whoever wants the slow one waits no longer than they like.
  CallContext call;
  call.deadline = base::Deadline::After(absl::Milliseconds(50));
  EXPECT_TRUE(absl::IsDeadlineExceeded(node_.containers->Remove(slow, call)));
  node_.runtime.OpenGate();
  start.join();
  EXPECT_TRUE(node_.containers->Remove(slow, {}).ok());
  EXPECT_EQ(node_.runtime.overlaps(), 0);
}

}  // namespace
}  // namespace warren::agent
