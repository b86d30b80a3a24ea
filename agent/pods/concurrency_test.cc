#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "agent/store/lifecycle.h"
#include "tests/fakes/core_node.h"

// Many callers at once. Run with the thread sanitizer too.
namespace warren::agent {
namespace {

using test::CoreNode;
using ::testing::IsEmpty;

constexpr int kThreads = 16;

// A model of one pod name: what a caller may see after an operation returned.
// Ids are never given out twice, and a name has at most one pod at a time.
class Model {
 public:
  void Ran(const std::string& id, int pod) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto [known, fresh] = pod_of_.try_emplace(id, pod);
    EXPECT_EQ(known->second, pod) << "an id of two names";
  }
  void Removed(const std::string& id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    removed_.insert(id);
  }
  bool WasRemoved(const std::string& id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return removed_.count(id) != 0;
  }
  // Any id that was ever given out, or none.
  std::string Any(std::mt19937* random) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (pod_of_.empty()) return std::string(64, '0');
    auto it = pod_of_.begin();
    std::advance(it, (*random)() % pod_of_.size());
    return it->first;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, int> pod_of_;
  std::set<std::string> removed_;
};

// States of containers as a watcher sees them: they only go forward, and an
// end is always the same end (REL-8).
class Watcher {
 public:
  explicit Watcher(CoreNode* node) : node_(node) {}

  void Look() {
    for (const auto& item : node_->containers->List({})) {
      const auto response = node_->containers->Status(item.id(), false);
      if (!response.ok()) {
        EXPECT_TRUE(absl::IsNotFound(response.status()));
        continue;
      }
      const cri::ContainerStatus& now = response->status();
      const auto [seen, fresh] = seen_.try_emplace(now.id(), now);
      if (fresh) continue;
      EXPECT_LE(seen->second.state(), now.state());
      if (seen->second.state() == cri::CONTAINER_EXITED) {
        EXPECT_EQ(seen->second.finished_at(), now.finished_at());
        EXPECT_EQ(seen->second.exit_code(), now.exit_code());
        EXPECT_EQ(seen->second.reason(), now.reason());
      }
      EXPECT_EQ(now.finished_at() != 0, now.state() == cri::CONTAINER_EXITED);
      seen->second = now;
    }
  }

 private:
  CoreNode* const node_;
  std::map<std::string, cri::ContainerStatus> seen_;
};

// One random operation on one of a few names.
void Operate(CoreNode* node, Model* model, std::mt19937* random) {
  const int pod = static_cast<int>((*random)() % 4);
  const std::string name = "pod" + std::to_string(pod);
  const std::string id = model->Any(random);
  switch ((*random)() % 10) {
    case 0:
    case 1: {
      const auto ran = node->RunPod(name);
      if (ran.ok()) {
        model->Ran(*ran, pod);
      } else {
        EXPECT_TRUE(absl::IsAlreadyExists(ran.status())) << ran.status();
      }
      break;
    }
    case 2: {
      const absl::Status stopped = node->sandboxes->Stop(id, {});
      EXPECT_TRUE(stopped.ok()) << stopped;
      break;
    }
    case 3: {
      const absl::Status removed = node->sandboxes->Remove(id, {});
      EXPECT_TRUE(removed.ok()) << removed;
      model->Removed(id);
      break;
    }
    case 4:
    case 5: {
      const auto made = node->Create(id, "c" + std::to_string((*random)() % 2));
      if (made.ok()) node->containers->Start(*made, {}).IgnoreError();
      break;
    }
    case 6: {
      const auto list = node->containers->List({});
      if (list.empty()) break;
      const auto& item = list[(*random)() % list.size()];
      const absl::Status stopped =
          node->containers->Stop(item.id(), (*random)() % 2, {});
      EXPECT_TRUE(stopped.ok()) << stopped;
      break;
    }
    case 7: {
      const auto list = node->containers->List({});
      if (list.empty()) break;
      const std::string victim = list[(*random)() % list.size()].id();
      const absl::Status removed = node->containers->Remove(victim, {});
      EXPECT_TRUE(removed.ok()) << removed;
      EXPECT_TRUE(
          absl::IsNotFound(node->containers->Status(victim, false).status()));
      break;
    }
    default: {
      const bool gone = model->WasRemoved(id);
      const auto status = node->sandboxes->Status(id, true);
      EXPECT_TRUE(!gone || absl::IsNotFound(status.status()));
      node->sandboxes->List({});
    }
  }
}

TEST(Concurrency, REL_6_RandomOperationsAgainstAModel) {
  test::StateDirectory state;
  CoreNode node(state.path());
  Model model;
  std::atomic<bool> done{false};
  std::thread watcher([&] {
    Watcher watch(&node);
    while (!done) watch.Look();
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      std::mt19937 random(i);
      for (int n = 0; n < 150; ++n) Operate(&node, &model, &random);
    });
  }
  for (std::thread& thread : threads) thread.join();
  done = true;
  watcher.join();
  EXPECT_EQ(node.runtime.overlaps(), 0);
  EXPECT_EQ(node.network.misuses(), 0);
  for (const auto& pod : node.sandboxes->List({})) {
    EXPECT_TRUE(node.sandboxes->Remove(pod.id(), {}).ok());
  }
  EXPECT_TRUE(node.kernel().Empty());
  EXPECT_THAT(node.network.leases(), IsEmpty());
  EXPECT_EQ(node.images.holds(), 0);
}

TEST(Concurrency, REL_6_OneNameIsOnePod) {
  test::StateDirectory state;
  CoreNode node(state.path());
  for (int round = 0; round < 20; ++round) {
    std::array<std::string, kThreads> ids;
    std::vector<std::thread> threads;
    for (std::string& id : ids) {
      threads.emplace_back([&] { id = node.MustRunPod("same"); });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::string& id : ids) EXPECT_EQ(id, ids[0]);
    EXPECT_EQ(node.kernel().sandboxes.size(), 1u);
    ASSERT_TRUE(node.sandboxes->Remove(ids[0], {}).ok());
  }
}

TEST(Concurrency, StopAndStartOfOnePodLeaveNothingRunning) {
  test::StateDirectory state;
  CoreNode node(state.path());
  for (int round = 0; round < 40; ++round) {
    const std::string pod = node.MustRunPod("web");
    std::vector<std::thread> threads;
    for (int i = 0; i < 6; ++i) {
      threads.emplace_back([&, i] {
        const auto id = node.Create(pod, "c" + std::to_string(i));
        if (id.ok()) node.containers->Start(*id, {}).IgnoreError();
      });
    }
    EXPECT_TRUE(node.sandboxes->Stop(pod, {}).ok());
    for (std::thread& thread : threads) thread.join();
    for (const auto& [id, container] : node.kernel().containers) {
      EXPECT_NE(container.process, test::FakeKernel::Process::kRunning);
    }
    ASSERT_TRUE(node.sandboxes->Remove(pod, {}).ok());
    EXPECT_TRUE(node.kernel().Empty());
  }
  EXPECT_EQ(node.runtime.overlaps(), 0);
}

TEST(Concurrency, ManyStopsOfOneContainer) {
  test::StateDirectory state;
  CoreNode node(state.path());
  const std::string pod = node.MustRunPod("web");
  for (int round = 0; round < 20; ++round) {
    const std::string id = node.MustStart(pod, "c" + std::to_string(round));
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        EXPECT_TRUE(i % 4 == 0 ? node.containers->Remove(id, {}).ok()
                               : node.containers->Stop(id, i % 3, {}).ok());
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(absl::IsNotFound(node.containers->Status(id, false).status()));
  }
  EXPECT_EQ(node.runtime.overlaps(), 0);
  ASSERT_TRUE(node.sandboxes->Remove(pod, {}).ok());
}

}  // namespace
}  // namespace warren::agent
