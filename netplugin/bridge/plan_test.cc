#include "netplugin/bridge/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>

#include <set>
#include <string>
#include <vector>

#include "netplugin/bridge/network.h"
#include "netplugin/ip_testing.h"

namespace warren::netplugin {
namespace {

using testing::Contains;
using testing::ElementsAre;

constexpr char kId[] =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

TEST(BridgePlan, HostIfnameShowsTheStartOfTheId) {
  EXPECT_EQ(HostIfname(kId), "wr0123456789abc");
}

TEST(BridgePlan, NET_3_HostIfnameFitsWhateverTheId) {
  const std::vector<std::string> ids = {"",
                                        "a",
                                        "pod/../../etc",
                                        std::string(1 << 16, 'x'),
                                        "a\n b",
                                        std::string(3, '\0'),
                                        "0123456789abc",
                                        "0123456789abcd"};
  std::set<std::string> names;
  for (const std::string& id : ids) {
    const std::string name = HostIfname(id);
    EXPECT_EQ(name.size(), IFNAMSIZ - 1u);
    EXPECT_TRUE(IsValidIfname(name)) << name;
    EXPECT_EQ(name, HostIfname(id));
    names.insert(name);
  }
  EXPECT_EQ(names.size(), ids.size());
  // Pinned: a new version must find the links of an old one.
  EXPECT_EQ(HostIfname("a"), "wraf63dc4c8601e");
}

TEST(BridgePlan, AliasCarriesTheWholeId) {
  EXPECT_EQ(LinkAlias("abc"), "warren:abc");
  EXPECT_EQ(SandboxOfAlias("warren:abc"), "abc");
  EXPECT_EQ(SandboxOfAlias("warren:"), std::nullopt);
  EXPECT_EQ(SandboxOfAlias("other:abc"), std::nullopt);
}

TEST(BridgePlan, OurLinksAreRecognised) {
  Link link;
  link.kind = "veth";
  link.group = kLinkGroup;
  link.name = HostIfname(kId);
  link.alias = LinkAlias(kId);
  EXPECT_EQ(SandboxOfLink(link), kId);
  Link no_alias = link;
  no_alias.alias.clear();
  EXPECT_EQ(SandboxOfLink(no_alias), "");
  no_alias.name = "wrong-name";
  EXPECT_EQ(SandboxOfLink(no_alias), std::nullopt);
  Link other = link;
  other.group = 0;
  EXPECT_EQ(SandboxOfLink(other), std::nullopt);
  other = link;
  other.kind = "dummy";
  EXPECT_EQ(SandboxOfLink(other), std::nullopt);
  other = link;
  other.name = "wr0000000000000";
  EXPECT_EQ(SandboxOfLink(other), std::nullopt);
  other = link;
  other.alias = "somebody else's";
  EXPECT_EQ(SandboxOfLink(other), std::nullopt);
}

TEST(BridgePlan, GatewayIsTheFirstHost) {
  EXPECT_EQ(GatewayOf(Prefix("10.88.0.0/16")).ToString(), "10.88.0.1/16");
  EXPECT_EQ(GatewayOf(Prefix("10.88.3.4/16")).ToString(), "10.88.0.1/16");
  EXPECT_EQ(GatewayOf(Prefix("fd88::/64")).ToString(), "fd88::1/64");
}

TEST(BridgePlan, MacFollowsFromTheAddress) {
  EXPECT_EQ(FormatMac(PodMac({"a", {Prefix("10.88.1.2/16")}})),
            "0a:57:0a:58:01:02");
  EXPECT_EQ(FormatMac(PodMac({"a", {Prefix("fd88::1:2/64")}})),
            "0a:57:00:01:00:02");
}

TEST(BridgePlan, PodOfIpv4HasIpv6Off) {
  const WiringPlan plan =
      *MakeWiringPlan({kId, {Prefix("10.88.0.2/16")}}, 1400);
  EXPECT_EQ(plan.mtu, 1400);
  EXPECT_EQ(plan.alias, LinkAlias(kId));
  EXPECT_THAT(plan.gateways, ElementsAre(*IpAddress::Parse("10.88.0.1")));
  EXPECT_THAT(plan.pod_sysctls,
              ElementsAre(Sysctl{"net/ipv6/conf/all/disable_ipv6", "1"},
                          Sysctl{"net/ipv6/conf/default/disable_ipv6", "1"}));
}

TEST(BridgePlan, DualStackPodLearnsNothingByItself) {
  const WiringPlan plan = *MakeWiringPlan(
      {kId, {Prefix("10.88.0.2/16"), Prefix("fd88::2/64")}}, 1500);
  EXPECT_THAT(plan.gateways, ElementsAre(*IpAddress::Parse("10.88.0.1"),
                                         *IpAddress::Parse("fd88::1")));
  for (const char* key : {"accept_ra", "autoconf", "accept_dad"}) {
    EXPECT_THAT(
        plan.pod_sysctls,
        Contains(Sysctl{std::string("net/ipv6/conf/default/") + key, "0"}));
  }
  EXPECT_THAT(
      plan.host_sysctls,
      Contains(Sysctl{"net/ipv6/conf/wr0123456789abc/disable_ipv6", "1"}));
}

TEST(BridgePlan, RefusesLeasesWithoutIdOrAddress) {
  const std::vector<IpPrefix> address = {Prefix("10.88.0.2/16")};
  for (const Lease& bad : {Lease{"", address}, Lease{kId, {}},
                           Lease{std::string(300, 'x'), address}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(MakeWiringPlan(bad, 1500).status()));
  }
}

TEST(BridgePlan, BridgeAliasRemembersSettings) {
  const std::vector<Sysctl> saved = {{"net/ipv4/ip_forward", "0"},
                                     {"net/ipv6/conf/eth0/accept_ra", "1"}};
  const std::string alias = EncodeBridgeAlias(saved);
  EXPECT_EQ(alias,
            "warren:bridge net/ipv4/ip_forward=0 "
            "net/ipv6/conf/eth0/accept_ra=1");
  EXPECT_EQ(DecodeBridgeAlias(alias), saved);
  EXPECT_EQ(DecodeBridgeAlias(EncodeBridgeAlias({})), std::vector<Sysctl>());
  EXPECT_EQ(DecodeBridgeAlias(""), std::nullopt);
  EXPECT_EQ(DecodeBridgeAlias("warren:abc"), std::nullopt);
}

TEST(BridgePlan, BridgeAliasFitsTheKernelAndLeadsNowhereElse) {
  const std::vector<Sysctl> many(
      20, Sysctl{"net/ipv6/conf/a-long-name-000/accept_ra", "1"});
  EXPECT_LE(EncodeBridgeAlias(many).size(), 255u);
  EXPECT_EQ(DecodeBridgeAlias("warren:bridge kernel/core_pattern=|/x "
                              "net/ipv4/../../kernel/x=1"),
            std::vector<Sysctl>());
}

TEST(BridgeNetworkOptions, BadOnesAreRefused) {
  BridgeNetworkOptions good;
  good.ranges = {Prefix("10.88.0.0/16")};
  EXPECT_TRUE(BridgeNetwork::Create(good).ok());
  std::vector<BridgeNetworkOptions> bad(8, good);
  bad[0].ranges.clear();
  bad[1].bridge = "a-name-that-is-too-long";
  bad[2].bridge = "../x";
  bad[3].bridge = "";
  bad[4].table = "no spaces";
  bad[5].table = std::string(32, 'x');
  bad[6].mtu = 100;
  bad[7].mtu = 70000;
  for (const BridgeNetworkOptions& options : bad) {
    EXPECT_TRUE(
        absl::IsInvalidArgument(BridgeNetwork::Create(options).status()));
  }
}

}  // namespace
}  // namespace warren::netplugin
