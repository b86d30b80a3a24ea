// Leases of ranges that are not configured any more, beside those of today's.

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <set>
#include <string>
#include <vector>

#include "netplugin/ip_testing.h"
#include "netplugin/ipam/ipam.h"

namespace warren::netplugin {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class RetiredRangesTest : public testing::Test {
 protected:
  absl::Status Set(std::initializer_list<const char*> ranges) {
    std::vector<IpPrefix> prefixes;
    for (const char* range : ranges) prefixes.push_back(Prefix(range));
    return ipam_.SetRanges(prefixes);
  }
  absl::Status Adopt(const std::string& id,
                     std::initializer_list<const char*> addresses) {
    Lease lease{id, {}};
    for (const char* address : addresses) {
      lease.addresses.push_back(Prefix(address));
    }
    return ipam_.Adopt(lease);
  }
  void Release(const std::string& id) { ipam_.Release(*ipam_.Find(id)); }
  std::vector<std::string> InForce() {
    std::vector<std::string> names;
    for (const IpPrefix& range : ipam_.RangesInForce()) {
      names.push_back(range.ToString());
    }
    return names;
  }
  // All that the ranges give out until they are full, without the lengths.
  std::set<std::string> Rest() {
    std::set<std::string> rest;
    while (true) {
      const auto lease = ipam_.Allocate(absl::StrCat("rest", ++rest_));
      if (!lease.ok()) return rest;
      rest.insert(lease->addresses[0].address.ToString());
    }
  }

  int rest_ = 0;
  Ipam ipam_{&base::SystemClock(), absl::Seconds(30)};
};

TEST_F(RetiredRangesTest, AnOldLeaseIsAdoptedAndItsRangeGivesOutNothing) {
  ASSERT_TRUE(Set({"10.1.0.0/24"}).ok());
  ASSERT_TRUE(Adopt("old", {"10.0.0.2/24"}).ok());
  EXPECT_TRUE(Adopt("old", {"10.0.0.2/24"}).ok());
  EXPECT_TRUE(Adopt("older", {"10.0.0.3/24"}).ok());
  EXPECT_THAT(InForce(), ElementsAre("10.1.0.0/24", "10.0.0.0/24"));
  EXPECT_EQ(ipam_.Allocate("new")->addresses[0].ToString(), "10.1.0.2/24");
  EXPECT_TRUE(absl::IsFailedPrecondition(
      ipam_.Allocate("wants", {Address("10.0.0.9")}).status()));
  EXPECT_TRUE(absl::IsAlreadyExists(Adopt("thief", {"10.0.0.2/24"})));
  Release("old");
  EXPECT_THAT(InForce(), ElementsAre("10.1.0.0/24", "10.0.0.0/24"));
  Release("older");
  EXPECT_THAT(InForce(), ElementsAre("10.1.0.0/24"));
}

TEST_F(RetiredRangesTest, ARefusedLeaseBringsNoRange) {
  ASSERT_TRUE(Set({"10.1.0.0/24"}).ok());
  ASSERT_TRUE(Adopt("a", {"10.1.0.7/24"}).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(Adopt("b", {"fd00::9/64", "10.1.0.7/24"})));
  EXPECT_THAT(InForce(), ElementsAre("10.1.0.0/24"));
}

TEST_F(RetiredRangesTest, ARetiredRangeComesBackWithItsLeases) {
  ASSERT_TRUE(Set({"10.0.0.0/24"}).ok());
  ASSERT_TRUE(ipam_.Allocate("a").ok());
  ASSERT_TRUE(Set({"10.1.0.0/24"}).ok());
  ASSERT_TRUE(ipam_.Allocate("b").ok());
  ASSERT_TRUE(Set({"10.0.0.0/24"}).ok());
  EXPECT_THAT(InForce(), ElementsAre("10.0.0.0/24", "10.1.0.0/24"));
  EXPECT_EQ(ipam_.Allocate("c")->addresses[0].ToString(), "10.0.0.3/24");
  Release("a");
  Release("b");
  EXPECT_THAT(InForce(), ElementsAre("10.0.0.0/24"));
}

TEST_F(RetiredRangesTest, FamiliesComeAndGo) {
  ASSERT_TRUE(Set({"10.0.0.0/24"}).ok());
  ASSERT_TRUE(ipam_.Allocate("single").ok());
  ASSERT_TRUE(Set({"10.0.0.0/24", "fd00::/64"}).ok());
  EXPECT_EQ(ipam_.Allocate("single")->addresses.size(), 1u);
  EXPECT_EQ(ipam_.Allocate("dual")->addresses.size(), 2u);
  ASSERT_TRUE(Set({"10.0.0.0/24"}).ok());
  EXPECT_EQ(ipam_.Allocate("again")->addresses.size(), 1u);
  EXPECT_THAT(InForce(), ElementsAre("10.0.0.0/24", "fd00::/64"));
  Release("dual");
  EXPECT_THAT(InForce(), ElementsAre("10.0.0.0/24"));
}

TEST_F(RetiredRangesTest, WhatTheOldRangeHasIsGivenOutByNoneThatOverlaps) {
  ASSERT_TRUE(Set({"10.0.0.8/29"}).ok());
  ASSERT_TRUE(Adopt("old", {"10.0.0.11/24"}).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(Adopt("thief", {"10.0.0.11/29"})));
  EXPECT_THAT(Rest(),
              ElementsAre("10.0.0.10", "10.0.0.12", "10.0.0.13", "10.0.0.14"));
  Release("old");
  EXPECT_THAT(InForce(), ElementsAre("10.0.0.8/29"));
  EXPECT_THAT(Rest(), ElementsAre("10.0.0.11"));
}

TEST_F(RetiredRangesTest, WhatTheOldRangeNeedsIsGivenOutByNoneThatOverlaps) {
  ASSERT_TRUE(Set({"10.0.0.0/28"}).ok());
  ASSERT_TRUE(Adopt("old", {"10.0.0.6/30"}).ok());
  // .4 network, .5 gateway, .6 the pod, .7 broadcast.
  EXPECT_TRUE(absl::IsFailedPrecondition(
      ipam_.Allocate("wants", {Address("10.0.0.5")}).status()));
  EXPECT_THAT(Rest(), ElementsAre("10.0.0.10", "10.0.0.11", "10.0.0.12",
                                  "10.0.0.13", "10.0.0.14", "10.0.0.2",
                                  "10.0.0.3", "10.0.0.8", "10.0.0.9"));
  Release("old");
  EXPECT_THAT(Rest(),
              ElementsAre("10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7"));
}

TEST_F(RetiredRangesTest, ARestingAddressThatIsSparedIsNotGivenOutEarly) {
  ASSERT_TRUE(Set({"10.0.0.0/29"}).ok());
  ASSERT_TRUE(Adopt("a", {"10.0.0.5/29"}).ok());
  Release("a");
  ASSERT_TRUE(Adopt("old", {"10.0.0.6/30"}).ok());
  EXPECT_THAT(Rest(), ElementsAre("10.0.0.2", "10.0.0.3"));
}

TEST_F(RetiredRangesTest, ARangeThatNeedsTheAddressOfAPodIsRefused) {
  ASSERT_TRUE(Set({"10.0.0.0/16"}).ok());
  for (const char* address : {"10.0.1.1/16", "10.0.2.0/16", "10.0.3.255/16"}) {
    ASSERT_TRUE(Adopt(address, {address}).ok());
  }
  for (const char* range : {"10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"}) {
    const absl::Status status = Set({range});
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << range << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("stop that pod first or choose another range"));
    EXPECT_THAT(InForce(), ElementsAre("10.0.0.0/16")) << "nothing changed";
  }
  EXPECT_THAT(std::string(Set({"10.0.1.0/24"}).message()),
              HasSubstr("10.0.1.1, which pod range 10.0.1.0/24 needs for "
                        "itself, belongs to sandbox \"10.0.1.1/16\""));
  Release("10.0.1.1/16");
  EXPECT_TRUE(Set({"10.0.1.0/24"}).ok());
}

// Their MAC addresses would be the same.
TEST_F(RetiredRangesTest, NoTwoFirstAddressesEndInTheSameBytes) {
  ASSERT_TRUE(Set({"fd01::/64"}).ok());
  ASSERT_TRUE(Adopt("old", {"fd00::2/64"}).ok());
  EXPECT_EQ(ipam_.Allocate("a")->addresses[0].ToString(), "fd01::3/64");
  ASSERT_TRUE(Set({"fd02::/64"}).ok());
  EXPECT_EQ(ipam_.Allocate("b")->addresses[0].ToString(), "fd02::4/64");
  for (const char* id : {"old", "a", "b"}) Release(id);
  EXPECT_THAT(InForce(), ElementsAre("fd02::/64"));
  ASSERT_TRUE(Set({"fd03::/126"}).ok());
  EXPECT_THAT(Rest(), ElementsAre("fd03::2", "fd03::3"));
}

TEST_F(RetiredRangesTest, WhatIsExpectedStaysUntilNoMoreIs) {
  ASSERT_TRUE(Set({"10.9.0.0/24"}).ok());
  ASSERT_TRUE(Set({"10.2.0.0/24"}).ok());
  ipam_.Expect(Prefix("10.0.0.1/24"));
  ipam_.Expect(Prefix("10.1.0.1/24"));
  ASSERT_TRUE(Adopt("old", {"10.0.0.2/24"}).ok());
  ASSERT_TRUE(Adopt("gone", {"10.1.0.2/24"}).ok());
  Release("gone");
  EXPECT_THAT(InForce(),
              ElementsAre("10.2.0.0/24", "10.0.0.0/24", "10.1.0.0/24"));
  ipam_.ExpectNoMore();
  EXPECT_THAT(InForce(), ElementsAre("10.2.0.0/24", "10.0.0.0/24"));
  ipam_.Expect(Prefix("10.1.0.1/24"));
  EXPECT_THAT(InForce(), ElementsAre("10.2.0.0/24", "10.0.0.0/24"));
}

TEST_F(RetiredRangesTest, NET_4_WhatIsGuardedIsNobodyElses) {
  ASSERT_TRUE(Set({"10.0.0.0/29"}).ok());
  ipam_.Expect(Prefix("10.1.0.1/24"));
  const std::vector<IpAddress> both = {Address("10.0.0.3"),
                                       Address("10.1.0.2")};
  for (int i = 0; i < 2; ++i) ipam_.Guard("unknown", both);
  ipam_.ExpectNoMore();
  EXPECT_THAT(InForce(), ElementsAre("10.0.0.0/29", "10.1.0.0/24"));
  EXPECT_TRUE(absl::IsAlreadyExists(
      ipam_.Allocate("wants", {Address("10.0.0.3")}).status()));
  EXPECT_TRUE(
      absl::IsAlreadyExists(Adopt("thief", {"10.0.0.5/29", "10.1.0.2/24"})));
  EXPECT_TRUE(absl::IsFailedPrecondition(Set({"10.0.0.0/30"})));
  // Its record can be read again: it never lived in the other range.
  ASSERT_TRUE(Adopt("unknown", {"10.0.0.3/29"}).ok());
  ipam_.Guard("unknown", both);
  EXPECT_THAT(InForce(), ElementsAre("10.0.0.0/29"));
  Release("unknown");
  EXPECT_THAT(Rest(), UnorderedElementsAre("10.0.0.2", "10.0.0.3", "10.0.0.4",
                                           "10.0.0.5", "10.0.0.6"));
}

TEST_F(RetiredRangesTest, WhatIsGuardedMayBeReleasedUnknown) {
  ASSERT_TRUE(Set({"10.0.0.0/29"}).ok());
  ipam_.Expect(Prefix("10.1.0.1/24"));
  ipam_.Guard("unknown", {Address("10.1.0.2")});
  ipam_.ExpectNoMore();
  // A range that comes later knows of it as well.
  ASSERT_TRUE(Set({"10.1.0.0/29"}).ok());
  EXPECT_EQ(ipam_.Allocate("a")->addresses[0].ToString(), "10.1.0.3/29");
  ipam_.Release({"unknown", {}});
  EXPECT_THAT(InForce(), ElementsAre("10.1.0.0/29"));
}

}  // namespace
}  // namespace warren::netplugin
