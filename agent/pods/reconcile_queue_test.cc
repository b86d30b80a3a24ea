#include "agent/pods/reconcile_queue.h"

#include <gtest/gtest.h>

#include <thread>

namespace warren::agent {
namespace {

using Kind = ReconcileKey::Kind;

TEST(ReconcileQueue, AKeyIsThereOnceAndWithOneWorker) {
  ReconcileQueue queue(1);
  const ReconcileKey key = {Kind::kLeftovers, "a"};
  queue.Add(key);
  queue.Add(key);
  queue.Add({Kind::kLinks});
  EXPECT_EQ(queue.Next(), key);
  queue.Add(key);
  EXPECT_EQ(queue.Next(), ReconcileKey{Kind::kLinks});
  // It was added while a worker had it: once more.
  queue.Done(key, std::nullopt);
  EXPECT_EQ(queue.Next(), key);
  queue.Done(key, std::nullopt);
  queue.Add({Kind::kScan});
  EXPECT_EQ(queue.Next(), ReconcileKey{Kind::kScan}) << "it was forgotten";
}

TEST(ReconcileQueue, WhatPausesIsDueLaterOrWhenSomebodyAddsIt) {
  ReconcileQueue queue(1);
  const ReconcileKey scan = {Kind::kScan};
  const ReconcileKey links = {Kind::kLinks};
  for (const ReconcileKey& key : {scan, links}) queue.Add(key);
  for (int i = 0; i < 2; ++i) queue.Done(*queue.Next(), absl::Hours(1));
  queue.Add(links);
  EXPECT_EQ(queue.Next(), links);
  queue.Done(links, absl::Milliseconds(1));
  EXPECT_EQ(queue.Next(), links) << "its pause is over";
  queue.Done(links, absl::Hours(1));
  queue.AddAll();
  EXPECT_EQ(queue.Next(), scan);
  EXPECT_EQ(queue.Next(), links);
}

// The last worker is for what does not take long.
TEST(ReconcileQueue, SlowKeysLeaveAWorkerFree) {
  ReconcileQueue queue(2);
  const ReconcileKey orphans[] = {{Kind::kOrphanContainer, "a"},
                                  {Kind::kOrphanContainer, "b"},
                                  {Kind::kOrphanContainer, "c"}};
  for (const ReconcileKey& key : orphans) queue.Add(key);
  EXPECT_EQ(queue.Next(), orphans[0]);
  EXPECT_EQ(queue.Next(), orphans[1]);
  queue.Add({Kind::kLeftovers, "d"});
  EXPECT_EQ(queue.Next(), (ReconcileKey{Kind::kLeftovers, "d"}));
  queue.Done(orphans[1], absl::Hours(1));
  EXPECT_EQ(queue.Next(), orphans[2]);
}

// Giant trees that were not removed at the first try.
TEST(ReconcileQueue, OfLongKeysOneIsTakenAtATime) {
  ReconcileQueue queue(3);
  const ReconcileKey giants[] = {{Kind::kOrphanContainer, "a"},
                                 {Kind::kOrphanContainer, "b"}};
  const ReconcileKey small = {Kind::kOrphanContainer, "c"};
  for (const ReconcileKey& key : giants) queue.Add(key);
  EXPECT_EQ(queue.Next(), giants[0]);
  EXPECT_EQ(queue.Next(), giants[1]) << "nobody knows yet";
  for (const ReconcileKey& key : giants) {
    queue.Done(key, absl::ZeroDuration(), ReconcileQueue::kLong);
  }
  EXPECT_EQ(queue.Next(), giants[0]);
  queue.Add(small);
  EXPECT_EQ(queue.Next(), small);
  queue.Done(giants[0], std::nullopt, ReconcileQueue::kLong);
  EXPECT_EQ(queue.Next(), giants[1]);
  // It went fast this time.
  queue.Done(giants[1], absl::ZeroDuration());
  queue.Add(giants[0]);
  EXPECT_EQ(queue.Next(), giants[1]);
  EXPECT_EQ(queue.Next(), giants[0]);
}

TEST(ReconcileQueue, CloseEndsAWait) {
  ReconcileQueue queue(1);
  std::thread worker([&] { EXPECT_EQ(queue.Next(), std::nullopt); });
  queue.Close();
  worker.join();
  queue.Add({Kind::kScan});
  EXPECT_EQ(queue.Next(), std::nullopt);
}

}  // namespace
}  // namespace warren::agent
