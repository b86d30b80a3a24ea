#include "runtime/base/clock.h"

#include <gtest/gtest.h>

namespace warren::base {
namespace {

TEST(Clock, MonotonicNeverGoesBackAndRealIsAfter2020) {
  const Clock& clock = SystemClock();
  int64_t last = clock.MonotonicNow();
  for (int i = 0; i < 1000; ++i) {
    const int64_t now = clock.MonotonicNow();
    EXPECT_GE(now, last);
    last = now;
  }
  EXPECT_GT(clock.RealNow(), int64_t{1'577'836'800} * 1'000'000'000);
}

}  // namespace
}  // namespace warren::base
