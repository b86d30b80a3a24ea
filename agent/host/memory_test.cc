#include "agent/host/memory.h"

#include <gtest/gtest.h>

namespace warren::agent {
namespace {

constexpr int64_t kMiB = 1024 * 1024;

MemoryUse Use(int64_t resident_mib, int64_t allocated_mib) {
  return {.resident = resident_mib * kMiB, .allocated = allocated_mib * kMiB};
}

TEST(TrimRuleTest, IdleMemoryIsWorthATrimOnce) {
  TrimRule rule;
  EXPECT_TRUE(rule.Worth(Use(20, 5)));
  rule.Trimmed(Use(14, 5));
  EXPECT_FALSE(rule.Worth(Use(14, 5))) << "the rest stays";
  EXPECT_FALSE(rule.Worth(Use(18, 5)));
  EXPECT_TRUE(rule.Worth(Use(19, 5)));
}

TEST(TrimRuleTest, WhatSomebodyUsesIsNotIdle) {
  TrimRule rule;
  rule.Trimmed(Use(14, 5));
  EXPECT_FALSE(rule.Worth(Use(114, 105)));
  // Looked at and trimmed in the middle of a burst: the end of it still counts.
  rule.Trimmed(Use(114, 105));
  EXPECT_TRUE(rule.Worth(Use(114, 5)));
}

TEST(TrimRuleTest, MemoryThatIsUsedAgainIsIdleAnewLater) {
  TrimRule rule;
  rule.Trimmed(Use(30, 5));
  EXPECT_FALSE(rule.Worth(Use(30, 25)));
  EXPECT_TRUE(rule.Worth(Use(30, 5)));
}

}  // namespace
}  // namespace warren::agent
