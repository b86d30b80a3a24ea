#include "netplugin/ipam/ipam.h"

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "netplugin/ip_testing.h"

namespace warren::netplugin {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

class FakeClock : public base::Clock {
 public:
  int64_t RealNow() const override { return 0; }
  int64_t MonotonicNow() const override { return now; }
  int64_t now = 1000 * kSecond;
};

class IpamTest : public testing::Test {
 protected:
  Ipam Make(const std::vector<const char*>& ranges) {
    Ipam ipam(&clock_, absl::Seconds(30));
    std::vector<IpPrefix> prefixes;
    prefixes.reserve(ranges.size());
    for (const char* range : ranges) prefixes.push_back(Prefix(range));
    EXPECT_TRUE(ipam.SetRanges(prefixes).ok());
    return ipam;
  }
  static std::string First(const absl::StatusOr<Lease>& lease) {
    return lease.ok() ? lease->addresses[0].ToString()
                      : lease.status().ToString();
  }

  FakeClock clock_;
};

TEST_F(IpamTest, LeavesOutNetworkGatewayAndBroadcast) {
  Ipam ipam = Make({"10.0.0.0/29"});
  std::set<std::string> seen;
  for (int i = 0; i < 5; ++i) {
    seen.insert(First(ipam.Allocate(absl::StrCat("pod", i))));
  }
  EXPECT_EQ(seen,
            (std::set<std::string>{"10.0.0.2/29", "10.0.0.3/29", "10.0.0.4/29",
                                   "10.0.0.5/29", "10.0.0.6/29"}));
  const auto full = ipam.Allocate("pod5");
  EXPECT_TRUE(absl::IsResourceExhausted(full.status()));
  EXPECT_EQ(full.status().message(),
            "pod range 10.0.0.0/29 is full: all 5 addresses are in use");
}

TEST_F(IpamTest, SmallestRangeHoldsOnePod) {
  Ipam ipam = Make({"10.0.0.0/30"});
  EXPECT_EQ(First(ipam.Allocate("a")), "10.0.0.2/30");
  EXPECT_FALSE(ipam.Allocate("b").ok());
}

TEST_F(IpamTest, SameSandboxSameLease) {
  Ipam ipam = Make({"10.0.0.0/24"});
  EXPECT_EQ(First(ipam.Allocate("a")), "10.0.0.2/24");
  EXPECT_EQ(First(ipam.Allocate("a")), "10.0.0.2/24");
  EXPECT_EQ(First(ipam.Allocate("b")), "10.0.0.3/24");
}

TEST_F(IpamTest, NextFitGoesOnAndComesRound) {
  Ipam ipam = Make({"10.0.0.0/29"});
  const Lease a = *ipam.Allocate("a");
  ipam.Release(a);
  clock_.now += 31 * kSecond;
  EXPECT_EQ(First(ipam.Allocate("b")), "10.0.0.3/29");
  for (const char* id : {"c", "d", "e"}) ASSERT_TRUE(ipam.Allocate(id).ok());
  EXPECT_EQ(First(ipam.Allocate("f")), "10.0.0.2/29");
}

TEST_F(IpamTest, RestsBeforeReuse) {
  Ipam ipam = Make({"10.0.0.0/29"});
  std::vector<Lease> leases;
  leases.reserve(4);
  for (int i = 0; i < 4; ++i) {
    leases.push_back(*ipam.Allocate(absl::StrCat("pod", i)));
  }
  ipam.Release(leases[0]);
  clock_.now += 29 * kSecond;
  ipam.Release(leases[1]);
  // .6 was never used; then .2, which rested 29 s, before .3.
  EXPECT_EQ(First(ipam.Allocate("x")), "10.0.0.6/29");
  clock_.now += 1 * kSecond;
  EXPECT_EQ(First(ipam.Allocate("y")), "10.0.0.2/29");
  // Full but for one that still rests: reused early.
  EXPECT_EQ(First(ipam.Allocate("z")), "10.0.0.3/29");
  EXPECT_FALSE(ipam.Allocate("zz").ok());
}

TEST_F(IpamTest, ReusesTheOldestOfTheResting) {
  Ipam ipam = Make({"10.0.0.0/29"});
  std::vector<Lease> leases;
  leases.reserve(5);
  for (int i = 0; i < 5; ++i) {
    leases.push_back(*ipam.Allocate(absl::StrCat("pod", i)));
  }
  for (const int i : {3, 0, 4}) {
    ipam.Release(leases[i]);
    clock_.now += kSecond;
  }
  EXPECT_EQ(First(ipam.Allocate("a")), "10.0.0.5/29");
  EXPECT_EQ(First(ipam.Allocate("b")), "10.0.0.2/29");
  EXPECT_EQ(First(ipam.Allocate("c")), "10.0.0.6/29");
}

TEST_F(IpamTest, DualStackTakesOneOfEach) {
  Ipam ipam = Make({"10.0.0.0/24", "fd00::/64"});
  const Lease lease = *ipam.Allocate("a");
  ASSERT_EQ(lease.addresses.size(), 2u);
  EXPECT_EQ(lease.addresses[0].ToString(), "10.0.0.2/24");
  EXPECT_EQ(lease.addresses[1].ToString(), "fd00::2/64");
}

TEST_F(IpamTest, FullRangeTakesNothingOfTheOther) {
  Ipam ipam = Make({"fd00::/64", "10.0.0.0/30"});
  const Lease lease = *ipam.Allocate("a");
  EXPECT_FALSE(ipam.Allocate("b").ok());
  EXPECT_EQ(ipam.Leases().size(), 1u);
  ipam.Release(lease);
  EXPECT_TRUE(ipam.Leases().empty());
  EXPECT_EQ(First(ipam.Allocate("c")), "fd00::4/64");
}

TEST_F(IpamTest, AWantedAddressIsTheOneOfItsRange) {
  Ipam ipam = Make({"10.0.0.0/24", "fd00::/64"});
  const Lease lease = *ipam.Allocate("a", {Address("10.0.0.77")});
  EXPECT_EQ(lease.addresses[0].ToString(), "10.0.0.77/24");
  EXPECT_EQ(lease.addresses[1].ToString(), "fd00::2/64");
  EXPECT_EQ(ipam.Allocate("a", {Address("10.0.0.77")})->addresses,
            lease.addresses);
  EXPECT_TRUE(absl::IsAlreadyExists(
      ipam.Allocate("a", {Address("10.0.0.78")}).status()));
  const auto both =
      ipam.Allocate("b", {Address("fd00::9"), Address("10.0.0.9")});
  EXPECT_EQ(both->addresses[0].ToString(), "10.0.0.9/24");
  EXPECT_EQ(both->addresses[1].ToString(), "fd00::9/64");
}

TEST_F(IpamTest, AWantedAddressThatCannotBeTakesNothing) {
  Ipam ipam = Make({"10.0.0.0/24", "fd00::/64"});
  ASSERT_TRUE(ipam.Allocate("a", {Address("fd00::9")}).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(
      ipam.Allocate("b", {Address("10.0.0.9"), Address("fd00::9")}).status()));
  for (const char* bad : {"10.0.0.1", "10.0.1.9", "192.168.0.2"}) {
    EXPECT_TRUE(
        absl::IsFailedPrecondition(ipam.Allocate("b", {Address(bad)}).status()))
        << bad;
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(
      ipam.Allocate("b", {Address("10.0.0.8"), Address("10.0.0.9")}).status()));
  EXPECT_EQ(ipam.Leases().size(), 1u);
  EXPECT_TRUE(
      ipam.Allocate("c", {Address("10.0.0.9"), Address("fd00::8")}).ok());
}

TEST_F(IpamTest, AdoptTakesTheRecordedAddress) {
  Ipam ipam = Make({"10.0.0.0/24", "fd00::/64"});
  const Lease lease{"a", {Prefix("10.0.0.2/24"), Prefix("fd00::2/64")}};
  EXPECT_TRUE(ipam.Adopt(lease).ok());
  EXPECT_TRUE(ipam.Adopt(lease).ok());
  EXPECT_EQ(First(ipam.Allocate("b")), "10.0.0.3/24");
  EXPECT_EQ(First(ipam.Allocate("a")), "10.0.0.2/24");
}

TEST_F(IpamTest, AdoptIsAllOrNothing) {
  Ipam ipam = Make({"10.0.0.0/24", "fd00::/64"});
  ASSERT_TRUE(ipam.Adopt({"a", {Prefix("fd00::9/64")}}).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(
      ipam.Adopt({"b", {Prefix("10.0.0.9/24"), Prefix("fd00::9/64")}})));
  EXPECT_TRUE(ipam.Adopt({"c", {Prefix("10.0.0.9/24")}}).ok());
  EXPECT_TRUE(
      absl::IsAlreadyExists(ipam.Adopt({"c", {Prefix("10.0.0.10/24")}})));
}

TEST_F(IpamTest, AdoptRefusesAddressesThatAreNotForPods) {
  Ipam ipam = Make({"10.0.0.0/24", "fd00::/60"});
  for (const char* text :
       {"10.0.0.0/24", "10.0.0.1/24", "10.0.0.255/24", "10.9.0.1/24",
        "10.0.0.2/31", "127.0.0.2/24", "fd00::1/60", "fd00:0:0:1::2/60"}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(ipam.Adopt({"a", {Prefix(text)}})))
        << text;
  }
  EXPECT_TRUE(ipam.Leases().empty());
  EXPECT_EQ(ipam.RangesInForce(), ipam.ranges());
}

TEST_F(IpamTest, AdoptWakesARestingAddress) {
  Ipam ipam = Make({"10.0.0.0/30"});
  const Lease lease = *ipam.Allocate("a");
  ipam.Release(lease);
  EXPECT_TRUE(ipam.Adopt({"b", lease.addresses}).ok());
  EXPECT_FALSE(ipam.Allocate("c").ok());
}

TEST_F(IpamTest, ReleaseOfAnotherLeaseIsNothing) {
  Ipam ipam = Make({"10.0.0.0/24"});
  const Lease lease = *ipam.Allocate("a");
  ipam.Release({"b", lease.addresses});
  ipam.Release({"a", {Prefix("10.0.0.3/24")}});
  EXPECT_TRUE(ipam.Find("a").has_value());
  ipam.Release(lease);
  ipam.Release(lease);
  EXPECT_FALSE(ipam.Find("a").has_value());
}

TEST_F(IpamTest, RangesStayWhileLeasesExist) {
  Ipam ipam = Make({"10.0.0.0/24"});
  const Lease lease = *ipam.Allocate("a");
  EXPECT_TRUE(ipam.SetRanges({Prefix("10.0.0.0/24")}).ok());
  EXPECT_TRUE(ipam.SetRanges({Prefix("10.1.0.0/24")}).ok());
  EXPECT_EQ(ipam.RangesInForce(),
            (std::vector{Prefix("10.1.0.0/24"), Prefix("10.0.0.0/24")}));
  EXPECT_EQ(First(ipam.Allocate("a")), "10.0.0.2/24");
  EXPECT_EQ(First(ipam.Allocate("b")), "10.1.0.2/24");
  ipam.Release(lease);
  EXPECT_EQ(ipam.RangesInForce(), std::vector{Prefix("10.1.0.0/24")});
  EXPECT_EQ(First(ipam.Allocate("a")), "10.1.0.3/24");
}

TEST_F(IpamTest, WholeRangeCanBeHeldAndGivenBack) {
  Ipam ipam = Make({"10.88.0.0/20"});
  std::vector<Lease> leases;
  std::set<std::string> seen;
  for (int i = 0; i < 4093; ++i) {
    const auto lease = ipam.Allocate(absl::StrCat("pod", i));
    ASSERT_TRUE(lease.ok()) << i << lease.status();
    seen.insert(First(lease));
    leases.push_back(*lease);
  }
  EXPECT_EQ(seen.size(), 4093u);
  EXPECT_FALSE(ipam.Allocate("more").ok());
  for (const Lease& lease : leases) ipam.Release(lease);
  EXPECT_TRUE(ipam.Allocate("more").ok());
}

TEST_F(IpamTest, WideIpv6RangesWork) {
  Ipam ipam = Make({"fd00::/8"});
  EXPECT_EQ(First(ipam.Allocate("a")), "fd00::2/8");
}

}  // namespace
}  // namespace warren::netplugin
