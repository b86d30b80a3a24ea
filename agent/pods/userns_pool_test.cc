#include "agent/pods/userns_pool.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace warren::agent {
namespace {

constexpr uint32_t kRange = UsernsPool::kRangeLength;
constexpr uint32_t kStart = 16 * kRange;

runtime::IdMapping Range(uint32_t n) {
  return {0, kStart + n * kRange, kRange};
}

runtime::SandboxSpec SpecOf(const runtime::IdMapping& mapping) {
  runtime::SandboxSpec spec;
  spec.uid_mappings = spec.gid_mappings = {mapping};
  return spec;
}

TEST(UsernsPool, RangesAreDistinctUntilThereAreNone) {
  UsernsPool pool({kStart, 4 * kRange});
  std::set<uint32_t> starts;
  for (const char* id : {"a", "b", "c", "d"}) {
    const auto range = pool.Grant(id);
    ASSERT_TRUE(range.ok()) << range.status();
    EXPECT_EQ(range->container_id, 0u);
    EXPECT_EQ(range->length, kRange);
    EXPECT_GE(range->host_id, kStart);
    EXPECT_LE(range->host_id, kStart + 3 * kRange);
    EXPECT_TRUE(starts.insert(range->host_id).second);
  }
  const absl::Status full = pool.Grant("e").status();
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_EQ(pool.Grant("b")->host_id, Range(1).host_id) << "asked again";
  pool.Release("c");
  pool.Release("c");
  pool.Release("nobody");
  EXPECT_EQ(*pool.Grant("e"), Range(2));
}

TEST(UsernsPool, AFreedRangeIsTheLastToBeUsedAgain) {
  UsernsPool pool({kStart, 3 * kRange});
  EXPECT_EQ(*pool.Grant("a"), Range(0));
  pool.Release("a");
  EXPECT_EQ(*pool.Grant("b"), Range(1));
  EXPECT_EQ(*pool.Grant("c"), Range(2));
  EXPECT_EQ(*pool.Grant("d"), Range(0));
}

TEST(UsernsPool, WhatAKubeletChoseIsNotGranted) {
  UsernsPool pool({kStart, 3 * kRange});
  // Touches the first two with its uids, the third with its gids.
  const runtime::IdMapping uids = {0, kStart + 5, kRange};
  const runtime::IdMapping last = {0, kStart + 3 * kRange - 1, 10};
  ASSERT_TRUE(pool.Claim("k", {uids}, {last}).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(pool.Grant("a").status()));
  ASSERT_TRUE(pool.Claim("k2", {uids}, {uids}).ok()) << "its own affair";
  pool.Release("k");
  EXPECT_EQ(*pool.Grant("a"), Range(2));
  EXPECT_TRUE(absl::IsResourceExhausted(pool.Grant("b").status()));
  pool.Release("k2");
  EXPECT_TRUE(pool.Grant("b").ok());
}

TEST(UsernsPool, WhatWasGrantedCannotBeClaimed) {
  UsernsPool pool({kStart, 2 * kRange});
  ASSERT_EQ(*pool.Grant("a"), Range(0));
  const absl::Status refused =
      pool.Claim("k", {{0, kStart - 1, 2}}, {{0, 65536, 65536}});
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  // Nothing was taken by it, and what is beside the pool is not its affair.
  EXPECT_TRUE(pool.Claim("k", {{0, 65536, 65536}}, {{0, kStart - 2, 2}}).ok());
  EXPECT_TRUE(pool.Claim("l", {{0, kStart + 2 * kRange, kRange}}, {}).ok());
  EXPECT_EQ(*pool.Grant("b"), Range(1));
}

TEST(UsernsPool, RecordsTakeTheirsBackEvenTwice) {
  UsernsPool pool({kStart, 3 * kRange});
  pool.Restore("a", SpecOf(Range(0)), true);
  pool.Restore("old", SpecOf(Range(0)), true);  // its record was never updated
  pool.Restore("k", SpecOf(Range(1)), false);
  pool.Restore("host", runtime::SandboxSpec(), false);
  EXPECT_EQ(*pool.Grant("a"), Range(0));
  EXPECT_EQ(*pool.Grant("b"), Range(2));
  pool.Release("old");
  EXPECT_TRUE(absl::IsResourceExhausted(pool.Grant("c").status()));
  pool.Release("a");
  EXPECT_EQ(*pool.Grant("c"), Range(0));
}

TEST(UsernsPool, ManyAtOnceNeverShare) {
  UsernsPool pool({kStart, 64 * kRange});
  std::vector<std::vector<uint32_t>> got(8);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < got.size(); ++t) {
    threads.emplace_back([&pool, &mine = got[t], t] {
      for (int i = 0; i < 8; ++i) {
        const std::string id = std::to_string(t) + "/" + std::to_string(i);
        const auto range = pool.Grant(id);
        if (range.ok()) mine.push_back(range->host_id);
      }
    });
  }
  std::set<uint32_t> all;
  for (size_t t = 0; t < got.size(); ++t) {
    threads[t].join();
    all.insert(got[t].begin(), got[t].end());
  }
  EXPECT_EQ(all.size(), 64u);
}

}  // namespace
}  // namespace warren::agent
