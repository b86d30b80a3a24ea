#include "agent/node/network_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "tests/fakes/core_node.h"

namespace warren::agent {
namespace {

using ::testing::HasSubstr;

class NetworkTableTest : public testing::Test {
 protected:
  absl::Status Check(const std::string& boot, const std::string& table) {
    return CheckNetworkTable(state_.path(), boot, table);
  }
  absl::Status Keep(const std::string& boot, const std::string& table) {
    return KeepNetworkTable(state_.path(), boot, table);
  }
  std::string File() const { return state_.path() + "/network_table"; }

  test::StateDirectory state_;
};

TEST_F(NetworkTableTest, AnotherNameIsRefusedUntilTheNodeIsRebooted) {
  EXPECT_TRUE(Check("boot-1", "one").ok()) << "the first start";
  ASSERT_TRUE(Keep("boot-1", "one").ok());
  EXPECT_TRUE(Check("boot-1", "one").ok());
  const absl::Status refused = Check("boot-1", "two");
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("nft delete table bridge one; rm " + File()));
  EXPECT_TRUE(Check("boot-2", "two").ok());
  ASSERT_TRUE(Keep("boot-2", "two").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Check("boot-2", "one")));
}

TEST_F(NetworkTableTest, WhatCannotBeReadRefusesNothing) {
  std::ofstream(File()) << "garbage";
  EXPECT_TRUE(absl::IsDataLoss(Check("boot-1", "one")));
  EXPECT_TRUE(Keep("boot-1", "one").ok());
  EXPECT_TRUE(Check("boot-1", "one").ok());
  ASSERT_EQ(remove(File().c_str()), 0);
  ASSERT_EQ(mkfifo(File().c_str(), 0600), 0);
  EXPECT_TRUE(absl::IsDataLoss(Check("boot-1", "one")));
  EXPECT_TRUE(Keep("boot-1", "one").ok()) << "it stands in nobody's way";
}

}  // namespace
}  // namespace warren::agent
