#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "agent/pods/reconciler.h"
#include "tests/fakes/remains.h"

// A crash after every single effect, a failure of every single step.
namespace warren::agent {
namespace {

using test::StateDirectory;
using ::testing::IsEmpty;

class CrashTest : public testing::Test {
 protected:
  // One life of a pod with two containers, down to nothing. `observe` is
  // called after each effect of the fakes and after each finished call.
  static void Live(CoreNode* node,
                   const std::function<void(const std::string&)>& observe) {
    node->faults.Observe(observe);
    const std::string pod = node->MustRunPod("web");
    observe("ran");
    const std::string app = node->MustCreate(pod, "app");
    observe("created");
    EXPECT_TRUE(node->containers->Start(app, {}).ok());
    observe("started");
    const std::string other = node->MustStart(pod, "other");
    observe("started other");
    cri::UpdateContainerResourcesRequest update;
    update.set_container_id(other);
    update.mutable_linux()->set_cpu_shares(77);
    EXPECT_TRUE(node->containers->UpdateResources(update, {}).ok());
    observe("updated other");
    EXPECT_TRUE(node->containers->Stop(app, 1, {}).ok());
    observe("stopped");
    EXPECT_TRUE(node->containers->Remove(app, {}).ok());
    observe("removed");
    EXPECT_TRUE(node->sandboxes->Stop(pod, {}).ok());
    observe("pod stopped");
    EXPECT_TRUE(node->sandboxes->Remove(pod, {}).ok());
    observe("pod removed");
    node->faults.Observe(nullptr);
  }
};

TEST_F(CrashTest, REL_3_EveryCrashPointRecovers) {
  StateDirectory state;
  CoreNode node(state.path());
  std::vector<std::pair<std::string, Remains>> crashes;
  Live(&node, [&](const std::string& point) {
    crashes.emplace_back(
        point, Remains{StateDirectory::CopyOf(state.path()), node.kernel()});
  });
  EXPECT_GE(crashes.size(), 18u);
  for (const auto& [point, remains] : crashes) {
    SCOPED_TRACE(point);
    const auto next = Revive(remains);
    const auto report = next->Reconcile();
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_THAT(report->problems, IsEmpty());
    EXPECT_THAT(report->quarantined, IsEmpty());
    // Whatever is shown is whole, and kernel and records agree.
    const FakeKernel kernel = next->kernel();
    std::set<std::string> listed;
    for (const auto& pod : next->sandboxes->List({})) {
      listed.insert(pod.id());
      const bool ready = pod.state() == cri::SANDBOX_READY;
      EXPECT_EQ(kernel.links.count(pod.id()), ready ? 1u : 0u);
      EXPECT_EQ(next->network.leases().count(pod.id()), ready ? 1u : 0u);
      EXPECT_EQ(kernel.sandboxes.at(pod.id()).pinned, ready);
    }
    for (const auto& [id, sandbox] : kernel.sandboxes) {
      EXPECT_EQ(listed.count(id), 1u);
    }
    std::set<std::string> containers;
    bool updated = false;
    for (const auto& container : next->containers->List({})) {
      containers.insert(container.id());
      const bool runs = kernel.containers.at(container.id()).process ==
                        FakeKernel::Process::kRunning;
      EXPECT_EQ(container.state() == cri::CONTAINER_RUNNING, runs);
      const int64_t shares = next->ContainerStatus(container.id())
                                 .resources()
                                 .linux()
                                 .cpu_shares();
      EXPECT_EQ(kernel.containers.at(container.id()).resources.cpu_shares,
                shares);
      updated |= shares == 77;
    }
    for (const auto& [id, container] : kernel.containers) {
      EXPECT_EQ(containers.count(id), 1u);
    }
    // A reply that was given holds (REL-4).
    if (point == "ran") {
      EXPECT_EQ(listed.size(), 1u);
    }
    EXPECT_TRUE(updated || point != "updated other");
    if (point == "created" || point == "started") {
      EXPECT_EQ(containers.size(), 1u);
    }
    // A retry converges, and all of it can be removed.
    EXPECT_TRUE(next->RunPod("again").ok());
    RemoveAll(next.get());
    ExpectClean(next.get(), remains.state->path());
    EXPECT_EQ(next->runtime.overlaps(), 0);
  }
}

TEST_F(CrashTest, REL_3_ACrashDuringRecoveryRecoversToo) {
  StateDirectory state;
  CoreNode node(state.path());
  std::vector<Remains> crashes;
  Live(&node, [&](const std::string&) {
    crashes.push_back({StateDirectory::CopyOf(state.path()), node.kernel()});
  });
  for (const Remains& first : crashes) {
    const auto next = Revive(first);
    std::vector<Remains> seconds;
    next->faults.Observe([&](const std::string&) {
      seconds.push_back(
          {StateDirectory::CopyOf(first.state->path()), next->kernel()});
    });
    ASSERT_TRUE(next->Reconcile().ok());
    next->faults.Observe(nullptr);
    for (const Remains& second : seconds) {
      const auto last = Revive(second);
      ASSERT_TRUE(last->Reconcile().ok());
      RemoveAll(last.get());
      ExpectClean(last.get(), second.state->path());
    }
  }
}

TEST_F(CrashTest, REL_7_EveryStepFailingOnceThenTwice) {
  // Which steps does a life take?
  std::set<std::string> steps;
  {
    StateDirectory state;
    CoreNode node(state.path());
    Live(&node, [](const std::string&) {});
    for (const std::string& step : node.faults.calls()) steps.insert(step);
  }
  EXPECT_GE(steps.size(), 12u);
  for (const std::string& step : steps) {
    for (int times : {1, 2}) {
      SCOPED_TRACE(step + " x " + std::to_string(times));
      StateDirectory state;
      CoreNode node(state.path());
      node.faults.Fail(step, times);
      for (int attempt = 0; attempt < 3; ++attempt) {
        const auto pod = node.RunPod("web");
        if (!pod.ok()) {
          for (const auto& rest : node.sandboxes->List({})) {
            node.sandboxes->Remove(rest.id(), {}).IgnoreError();
          }
          continue;
        }
        if (const auto app = node.Create(*pod, "app"); app.ok()) {
          node.containers->Start(*app, {}).IgnoreError();
          node.containers->Stop(*app, 1, {}).IgnoreError();
          node.containers->Remove(*app, {}).IgnoreError();
        }
        node.sandboxes->Stop(*pod, {}).IgnoreError();
        node.sandboxes->Remove(*pod, {}).IgnoreError();
      }
      node.faults.Heal();
      RemoveAll(&node);
      ExpectClean(&node, state.path());
    }
  }
}

}  // namespace
}  // namespace warren::agent
