#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "agent/store/change_feed.h"
#include "tests/fakes/core_node.h"

// The change feed beside many callers. Run with the thread sanitizer too.
namespace warren::agent {
namespace {

using test::CoreNode;
using ::testing::IsEmpty;

// Replays the feed: what it was told last of each object that can be found.
class Replay {
 public:
  explicit Replay(CoreNode* node)
      : reader_(node->store->changes()->Subscribe()) {}

  // Reads until `done` and nothing is left.
  void Run(size_t max, const std::atomic<bool>* done) {
    for (;;) {
      const auto batch = reader_->Read(
          max,
          base::Deadline::Never().CancelledBy([done] { return done->load(); }));
      if (!batch.ok()) return;
      EXPECT_EQ(batch->lost, 0u);
      for (const ObjectChange& c : batch->changes) {
        EXPECT_EQ(c.sequence, ++sequence_);
        std::visit([&](const auto& change) { Add(c.id, change); }, c.what);
      }
    }
  }

  const std::map<std::string, std::shared_ptr<const void>>& objects() const {
    return last_;
  }
  uint64_t sequence() const { return sequence_; }

 private:
  template <typename State>
  void Add(const std::string& id, const StateChange<State>& change) {
    // Each change begins where the one before it ended.
    const auto known = last_.find(id);
    EXPECT_EQ(known == last_.end() ? nullptr : known->second, change.before)
        << id;
    if (change.after == nullptr) {
      last_.erase(id);
      return;
    }
    EXPECT_EQ(change.after->record.id(), id);
    last_[id] = change.after;
  }

  const std::unique_ptr<ChangeFeed::Reader> reader_;
  uint64_t sequence_ = 0;
  std::map<std::string, std::shared_ptr<const void>> last_;
};

// Changes that the callers make at the least.
constexpr uint64_t kLeast = 101;

// Lives of a pod and its containers, each call against the others' of the same
// few names. How many of the calls change something is a matter of luck: they
// go on until it is enough.
void Live(CoreNode* node, unsigned seed) {
  std::mt19937 random(seed);
  for (int n = 0;
       n < 40 || (n < 4000 && node->store->changes()->last() < kLeast); ++n) {
    const auto pod = node->RunPod("pod" + std::to_string(random() % 3));
    if (!pod.ok()) {  // a stopped one has the name
      const auto pods = node->sandboxes->List({});
      if (pods.empty()) continue;
      const std::string id = pods[random() % pods.size()].id();
      EXPECT_TRUE(node->sandboxes->Remove(id, {}).ok());
      continue;
    }
    const auto made = node->Create(*pod, "c" + std::to_string(random() % 2));
    if (made.ok()) node->containers->Start(*made, {}).IgnoreError();
    switch (random() % 3) {
      case 0:
        if (made.ok()) {
          EXPECT_TRUE(node->containers->Remove(*made, {}).ok());
        }
        break;
      case 1:
        EXPECT_TRUE(node->sandboxes->Stop(*pod, {}).ok());
        break;
      default:
        EXPECT_TRUE(node->sandboxes->Remove(*pod, {}).ok());
    }
  }
}

TEST(ChangesConcurrency, REL_6_ReadersSeeEveryChangeOnceAndInOrder) {
  constexpr int kCallers = 8;
  test::StateDirectory state;
  CoreNode node(state.path());
  std::atomic<bool> done{false};
  std::array<Replay, 3> replays = {Replay(&node), Replay(&node), Replay(&node)};
  std::vector<std::thread> readers;
  for (size_t i = 0; i < replays.size(); ++i) {
    readers.emplace_back([&, i] { replays[i].Run(1 + i * 10, &done); });
  }
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&, i] { Live(&node, i); });
  }
  for (std::thread& caller : callers) caller.join();
  for (const auto& pod : node.sandboxes->List({})) {
    EXPECT_TRUE(node.sandboxes->Remove(pod.id(), {}).ok());
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  for (const Replay& replay : replays) {
    EXPECT_EQ(replay.sequence(), node.store->changes()->last());
    EXPECT_GE(replay.sequence(), kLeast);
    EXPECT_THAT(replay.objects(), IsEmpty());
  }
  EXPECT_EQ(node.images.holds(), 0);
}

}  // namespace
}  // namespace warren::agent
