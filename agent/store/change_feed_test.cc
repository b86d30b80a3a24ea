#include "agent/store/change_feed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <optional>
#include <thread>

#include "agent/store/store.h"

namespace warren::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using PodStatePtr = std::shared_ptr<const PodSandboxState>;
using PodChange = StateChange<PodSandboxState>;

const base::Deadline kNow = base::Deadline::After(absl::ZeroDuration());

PodStatePtr NewState() { return std::make_shared<const PodSandboxState>(); }

std::vector<uint64_t> Sequences(
    const absl::StatusOr<ChangeFeed::Batch>& batch) {
  EXPECT_TRUE(batch.ok()) << batch.status();
  std::vector<uint64_t> sequences;
  if (!batch.ok()) return sequences;
  for (const ObjectChange& c : batch->changes) sequences.push_back(c.sequence);
  return sequences;
}

class ChangeFeedTest : public testing::Test {
 protected:
  void Publish(int count, size_t bytes = 1) {
    for (int i = 0; i < count; ++i) {
      feed_.Publish("pod", PodChange{nullptr, NewState()}, bytes);
    }
  }

  ChangeFeed feed_{&base::SystemClock(), {.entries = 8, .bytes = 1000}};
};

TEST_F(ChangeFeedTest, TellsWhatHappenedInOrder) {
  const auto reader = feed_.Subscribe();
  const PodStatePtr first = NewState();
  const PodStatePtr second = NewState();
  feed_.Publish("a", PodChange{nullptr, first}, 1);
  feed_.Publish("a", PodChange{first, second}, 1);
  feed_.Publish("b",
                StateChange<ContainerState>{
                    nullptr, std::make_shared<const ContainerState>()},
                1);
  feed_.Publish("a", PodChange{second, nullptr}, 1);
  const auto batch = reader->Read(10, kNow);
  ASSERT_THAT(Sequences(batch), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(batch->lost, 0u);
  const std::vector<ObjectChange>& changes = batch->changes;
  EXPECT_EQ(changes[0].id, "a");
  EXPECT_EQ(changes[0].kind(), ObjectChange::Kind::kPodSandbox);
  EXPECT_EQ(std::get<PodChange>(changes[1].what).before, first);
  EXPECT_EQ(std::get<PodChange>(changes[1].what).after, second);
  EXPECT_EQ(changes[2].id, "b");
  EXPECT_EQ(changes[2].kind(), ObjectChange::Kind::kContainer);
  EXPECT_EQ(std::get<PodChange>(changes[3].what).after, nullptr);
  EXPECT_GT(changes[0].monotonic_ns, 0);
  for (size_t i = 1; i < changes.size(); ++i) {
    EXPECT_GE(changes[i].monotonic_ns, changes[i - 1].monotonic_ns);
  }
}

TEST_F(ChangeFeedTest, GivesAtMostWhatIsAskedForAndGoesOnThere) {
  const auto reader = feed_.Subscribe();
  Publish(5);
  EXPECT_THAT(Sequences(reader->Read(2, kNow)), ElementsAre(1, 2));
  EXPECT_THAT(Sequences(reader->Read(0, kNow)), ElementsAre(3));
  EXPECT_THAT(Sequences(reader->Read(9, kNow)), ElementsAre(4, 5));
  EXPECT_TRUE(absl::IsDeadlineExceeded(reader->Read(9, kNow).status()));
}

TEST_F(ChangeFeedTest, BeginsWithTheSubscription) {
  Publish(3);
  const auto reader = feed_.Subscribe();
  Publish(1);
  EXPECT_EQ(feed_.last(), 4u);
  EXPECT_THAT(Sequences(reader->Read(9, kNow)), ElementsAre(4));
}

TEST_F(ChangeFeedTest, SaysHowManyALateReaderLost) {
  const auto late = feed_.Subscribe();
  const auto quick = feed_.Subscribe();
  for (int i = 0; i < 5; ++i) {
    Publish(4);
    EXPECT_THAT(quick->Read(4, kNow)->changes, SizeIs(4));
  }
  const auto batch = late->Read(3, kNow);
  EXPECT_THAT(Sequences(batch), ElementsAre(13, 14, 15));
  EXPECT_EQ(batch->lost, 12u);
  const auto next = late->Read(9, kNow);
  EXPECT_THAT(Sequences(next), ElementsAre(16, 17, 18, 19, 20));
  EXPECT_EQ(next->lost, 0u);
}

TEST_F(ChangeFeedTest, KeepsNoMoreBytesThanAllowed) {
  const auto reader = feed_.Subscribe();
  Publish(6, 300);
  auto batch = reader->Read(9, kNow);
  EXPECT_THAT(Sequences(batch), ElementsAre(4, 5, 6));
  EXPECT_EQ(batch->lost, 3u);
  // One that does not fit at all is known by its loss.
  Publish(1, 1001);
  batch = reader->Read(9, kNow);
  EXPECT_THAT(Sequences(batch), IsEmpty());
  EXPECT_EQ(batch->lost, 1u);
  Publish(1, 1000);
  batch = reader->Read(9, kNow);
  EXPECT_THAT(Sequences(batch), ElementsAre(8));
  EXPECT_EQ(batch->lost, 0u);
}

TEST_F(ChangeFeedTest, KeepsNothingThatNobodyHasToRead) {
  std::weak_ptr<const PodSandboxState> state;
  const auto publish = [&] {
    const PodStatePtr fresh = NewState();
    state = fresh;
    feed_.Publish("pod", PodChange{nullptr, fresh}, 1);
  };
  publish();
  EXPECT_TRUE(state.expired());
  const auto first = feed_.Subscribe();
  auto second = feed_.Subscribe();
  publish();
  ASSERT_TRUE(first->Read(1, kNow).ok());
  EXPECT_FALSE(state.expired());
  ASSERT_TRUE(second->Read(1, kNow).ok());
  EXPECT_TRUE(state.expired());
  publish();
  ASSERT_TRUE(first->Read(1, kNow).ok());
  EXPECT_FALSE(state.expired());
  second.reset();
  EXPECT_TRUE(state.expired());
}

TEST_F(ChangeFeedTest, WakesAReaderThatWaits) {
  const auto reader = feed_.Subscribe();
  std::optional<absl::StatusOr<ChangeFeed::Batch>> read;
  std::thread waiting([&] { read = reader->Read(9, base::Deadline::Never()); });
  Publish(1);
  waiting.join();
  EXPECT_EQ(Sequences(*read)[0], 1u);
}

TEST_F(ChangeFeedTest, WaitsNoLongerThanItIsAskedTo) {
  const auto reader = feed_.Subscribe();
  const base::Deadline soon = base::Deadline::After(absl::Milliseconds(30));
  EXPECT_TRUE(absl::IsDeadlineExceeded(reader->Read(1, soon).status()));
  EXPECT_EQ(soon.Remaining(), absl::ZeroDuration());
  int asked = 0;
  const auto cancelled =
      base::Deadline::Never().CancelledBy([&] { return ++asked > 2; });
  EXPECT_TRUE(absl::IsCancelled(reader->Read(1, cancelled).status()));
  Publish(1);
  EXPECT_THAT(Sequences(reader->Read(1, cancelled)), ElementsAre(1));
}

// A callback or a destructor that comes back would wait for ever.
TEST_F(ChangeFeedTest, HoldsNoLockWhileItCallsOut) {
  const auto reader = feed_.Subscribe();
  const auto back = [&] { return feed_.last() > 100; };
  const auto deadline = base::Deadline::After(absl::Milliseconds(30));
  EXPECT_FALSE(reader->Read(1, deadline.CancelledBy(back)).ok());
  int freed = 0;
  const auto publish = [&] {
    PodStatePtr state(new PodSandboxState(), [&](const PodSandboxState* s) {
      feed_.last();
      ++freed;
      delete s;
    });
    feed_.Publish("pod", PodChange{nullptr, std::move(state)}, 1);
  };
  for (int i = 0; i < 9; ++i) publish();
  EXPECT_EQ(freed, 1);  // pushed out
  ASSERT_TRUE(reader->Read(4, kNow).ok());
  EXPECT_EQ(freed, 5);  // read
}

TEST_F(ChangeFeedTest, NeverMakesTheWriterWaitForAReader) {
  constexpr int kWriters = 4;
  constexpr int kEach = 2000;
  constexpr uint64_t kAll = kWriters * kEach;
  const auto idle = feed_.Subscribe();
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&, max = 1 + i * 3, reader = feed_.Subscribe()] {
      uint64_t seen = 0;
      while (seen < kAll) {
        const auto batch = reader->Read(max, base::Deadline::Never());
        ASSERT_TRUE(batch.ok()) << batch.status();
        seen += batch->lost;
        for (const ObjectChange& c : batch->changes)
          ASSERT_EQ(c.sequence, ++seen);
      }
    });
  }
  std::vector<std::thread> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.emplace_back([&] { Publish(kEach); });
  }
  for (std::thread& writer : writers) writer.join();
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(feed_.last(), kAll);
  const auto batch = idle->Read(100, kNow);
  EXPECT_THAT(batch->changes, SizeIs(8));
  EXPECT_EQ(batch->lost, kAll - 8);
}

}  // namespace
}  // namespace warren::agent
