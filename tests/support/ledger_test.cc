// What the tests themselves rely on: the comparison of ledgers, and waiting.
#include "tests/support/ledger.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/patience.h"

namespace warren::test {
namespace {

TEST(LedgerTest, EveryLineOfOneSideIsADifference) {
  const Ledger before = {{"link", {"lo", "eth0"}}, {"mount", {"/ of / ext4"}}};
  const Ledger after = {{"link", {"lo", "wr1"}}, {"mount", {}}};
  EXPECT_EQ(LedgerDiff(before, after),
            "+ link: wr1\n- link: eth0\n- mount: / of / ext4\n");
  EXPECT_EQ(LedgerDiff(before, before), "");
}

// The machine may remove a directory, and with it what is mounted on it here.
TEST(LedgerTest, AMountWhosePlaceIsGoneIsNone) {
  const std::string line = "/no/such\\040place of net:[1] nsfs";
  EXPECT_EQ(LedgerDiff({{"mount", {line}}}, {}), "");
  EXPECT_EQ(LedgerDiff({}, {{"mount", {line}}}), "+ mount: " + line + "\n");
  EXPECT_EQ(LedgerDiff({{"file", {line}}}, {}), "- file: " + line + "\n");
}

TEST(PatienceTest, IsMultipliedByTheSlownessOfTheMachine) {
  unsetenv("WARREN_TEST_SLOWNESS");
  EXPECT_EQ(Patience(absl::Seconds(1)), absl::Seconds(4));
  setenv("WARREN_TEST_SLOWNESS", "8", 1);
  EXPECT_EQ(Patience(absl::Seconds(1)), absl::Seconds(8));
  setenv("WARREN_TEST_SLOWNESS", "0", 1);
  EXPECT_EQ(Patience(absl::Seconds(1)), absl::Seconds(1));
  unsetenv("WARREN_TEST_SLOWNESS");
}

TEST(PatienceTest, EventuallyEndsWithTheConditionOrTheLimit) {
  int looks = 0;
  EXPECT_TRUE(Eventually([&] { return ++looks == 3; }, absl::Hours(1)));
  EXPECT_EQ(looks, 3);
  EXPECT_FALSE(Eventually([] { return false; }, absl::Milliseconds(1)));
  EXPECT_TRUE(Eventually([] { return true; }, absl::ZeroDuration()));
}

}  // namespace
}  // namespace warren::test
