#include "runtime/shim/cpu_share.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace warren::shim {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kBurst = CpuShare::kBurstNs;

// A process that does nothing but copy whenever it may, a millisecond of
// processor time in a millisecond, and sleeps when it is told to. What it used
// in `seconds`, without what a new bucket holds.
int64_t UsedNs(uint32_t percent, int64_t seconds) {
  CpuShare share(percent);
  int64_t now = 123;
  int64_t used = 45;
  share.Account(now, used);
  const int64_t end = now + seconds * 1000 * kMs;
  const int64_t before = used;
  while (now < end) {
    if (share.spent()) {
      EXPECT_GT(share.WaitMs(), 0);
      now += share.WaitMs() * kMs;
    } else {
      now += kMs;
      used += kMs;
    }
    share.Account(now, used);
  }
  return used - before - CpuShare::kBurstNs;
}

TEST(CpuShare, REL_14_WhatIsUsedIsTheShare) {
  for (const uint32_t percent : {1, 5, 30, 90, 99}) {
    const int64_t expected = int64_t{percent} * 100 * 1000 * kMs / 100;
    const int64_t used = UsedNs(percent, 100);
    EXPECT_GT(used, expected * 9 / 10 - CpuShare::kBurstNs) << percent;
    EXPECT_LE(used, expected + CpuShare::kResumeNs) << percent;
  }
}

TEST(CpuShare, NoLimitIsNeverSpent) {
  for (const uint32_t percent : {0u, 100u, 4000000000u}) {
    CpuShare share(percent);
    EXPECT_FALSE(share.limited()) << percent;
    share.Account(0, 0);
    share.Account(1, 1000 * kMs);
    EXPECT_FALSE(share.spent()) << percent;
    EXPECT_EQ(share.WaitMs(), 0) << percent;
  }
}

TEST(CpuShare, ABurstAfterASilenceIsNotHeldUp) {
  CpuShare share(10);
  share.Account(0, 0);
  share.Account(1, kBurst - kMs);
  EXPECT_FALSE(share.spent());
  share.Account(2, kBurst + kMs);
  EXPECT_TRUE(share.spent());
  // A year of silence is worth no more than a full bucket.
  const int64_t year = int64_t{365} * 86400 * 1000 * kMs;
  share.Account(year, kBurst + kMs);
  EXPECT_FALSE(share.spent());
  share.Account(year + 1, 2 * kBurst + 2 * kMs);
  EXPECT_TRUE(share.spent());
}

TEST(CpuShare, ItGoesOnOnceAWholeReadIsPaidFor) {
  CpuShare share(50);
  share.Account(0, 0);
  share.Account(0, kBurst);
  ASSERT_TRUE(share.spent());
  EXPECT_EQ(share.WaitMs(), 11);
  share.Account(9 * kMs, kBurst);
  EXPECT_TRUE(share.spent());
  EXPECT_EQ(share.WaitMs(), 2);
  share.Account(11 * kMs, kBurst);
  EXPECT_FALSE(share.spent());
}

TEST(CpuShare, ADebtDoesNotStopTheOutputForGood) {
  CpuShare share(10);
  share.Account(0, 0);
  share.Account(1, 60'000 * kMs);
  EXPECT_TRUE(share.spent());
  EXPECT_LE(share.WaitMs(), 600);
}

TEST(CpuShare, WhatIsForgivenIsNotTakenOut) {
  CpuShare share(10);
  share.Account(0, 0);
  share.Forgive(60'000 * kMs);
  share.Account(1, 60'000 * kMs + kBurst - kMs);
  EXPECT_FALSE(share.spent());
  share.Account(2, 60'000 * kMs + kBurst + kMs);
  EXPECT_TRUE(share.spent());
}

}  // namespace
}  // namespace warren::shim
