#include "netplugin/bridge/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>

#include <set>
#include <string>
#include <vector>

#include "netplugin/bridge/instance.h"
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
  link.group = LinkGroupOf("warren0");
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

TEST(BridgePlan, NET_9_GroupsAreThoseOfTheInstance) {
  // Pinned: a new version must find the links of an old one.
  EXPECT_EQ(LinkGroupOf("warren0"), 0x5740f89eu);
  EXPECT_NE(LinkGroupOf("warren0"), LinkGroupOf("warren1"));
  Link link;
  link.kind = "veth";
  link.name = HostIfname(kId);
  link.alias = LinkAlias(kId);
  for (const uint32_t group : {LinkGroupOf("warren1"), kOldLinkGroup}) {
    link.group = group;
    EXPECT_EQ(SandboxOfLink(link), kId);
  }
}

TEST(BridgePlan, NET_9_AnotherInstanceIsNeverTakenOver) {
  Link other;
  other.index = 7;
  other.kind = "bridge";
  other.name = "warren1";
  other.group = LinkGroupOf("warren1");
  other.alias = EncodeBridgeAlias({"theirs", {}});
  EXPECT_TRUE(CheckOthers({other}, "warren0", "ours").ok());
  EXPECT_TRUE(CheckOthers({other}, "warren1", "theirs").ok());
  EXPECT_TRUE(
      absl::IsFailedPrecondition(CheckOthers({other}, "warren0", "theirs")));
  // The odd case of two names with the same hash.
  other.group = LinkGroupOf("warren0");
  EXPECT_TRUE(
      absl::IsFailedPrecondition(CheckOthers({other}, "warren0", "ours")));
  // Ports of an older agent: those on our bridge, and loose ones whose rule is
  // in our table.
  Link bridge = other;
  bridge.index = 1;
  bridge.name = "warren0";
  bridge.group = kOldLinkGroup;
  std::vector<Link> links = {bridge, other};
  for (const int master : {1, 7, 0, 0}) {
    Link port;
    port.index = static_cast<int>(links.size()) + 10;
    port.kind = "veth";
    port.group = kOldLinkGroup;
    port.master = master;
    port.alias = LinkAlias(std::string("id") + std::to_string(port.index));
    port.name = HostIfname(port.alias.substr(7));
    links.push_back(port);
  }
  const auto moved = LinksToMove(links, "warren0", {{links[4].name, {}, {}}});
  std::vector<int> indexes;
  for (const Link& link : moved) indexes.push_back(link.index);
  EXPECT_THAT(indexes, ElementsAre(1, links[2].index, links[4].index));
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
  const std::string alias = EncodeBridgeAlias({"tab", saved});
  EXPECT_EQ(alias,
            "warren:bridge table=tab net/ipv4/ip_forward=0 "
            "net/ipv6/conf/eth0/accept_ra=1");
  EXPECT_EQ(DecodeBridgeAlias(alias)->saved, saved);
  EXPECT_EQ(DecodeBridgeAlias(alias)->table, "tab");
  // Of an agent that did not name its tables.
  const auto bare = DecodeBridgeAlias(EncodeBridgeAlias({"", {}}));
  ASSERT_TRUE(bare.has_value());
  EXPECT_EQ(bare->saved, std::vector<Sysctl>());
  EXPECT_EQ(bare->table, "");
  EXPECT_FALSE(DecodeBridgeAlias("").has_value());
  EXPECT_FALSE(DecodeBridgeAlias("warren:abc").has_value());
}

TEST(BridgePlan, BridgeAliasFitsTheKernelAndLeadsNowhereElse) {
  const std::vector<Sysctl> many(
      20, Sysctl{"net/ipv6/conf/a-long-name-000/accept_ra", "1"});
  EXPECT_LE(EncodeBridgeAlias({"tab", many}).size(), 255u);
  EXPECT_EQ(DecodeBridgeAlias("warren:bridge kernel/core_pattern=|/x "
                              "net/ipv4/../../kernel/x=1")
                ->saved,
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
