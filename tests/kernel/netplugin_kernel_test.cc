// Pods on the bridge, seen by traffic and by what the kernel lists.

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "netplugin/bridge/plan.h"
#include "netplugin/ipam/pod_ranges.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/netlink/netns.h"
#include "netplugin/netlink/route.h"
#include "netplugin/netlink/sysctl.h"
#include "netplugin/nft/rules.h"
#include "runtime/base/file.h"
#include "tests/kernel/netplugin_node.h"
#include "tests/kernel/netplugin_traffic.h"

namespace warren::netplugin {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::UnorderedElementsAre;

class BridgeNetworkTest : public NodeTest {};

std::map<std::string, LinkView> LinksOf(const NetnsView& view) {
  std::map<std::string, LinkView> links;
  for (const LinkView& link : view.links) links[link.name] = link;
  return links;
}

TEST_F(BridgeNetworkTest, PodsReachEachOtherTheNodeAndBeyond) {
  auto network = MakeNetwork();
  const Pod a = StartPod(*network, "a123456789012345");
  const Pod b = StartPod(*network, "b123456789012345");
  const IpAddress a_ip = a.lease.addresses[0].address;
  const IpAddress b_ip = b.lease.addresses[0].address;
  EXPECT_EQ(a_ip.ToString(), "10.88.0.2");
  EXPECT_EQ(b_ip.ToString(), "10.88.0.3");
  // Both listen on the same port; no address translation among pods.
  EXPECT_EQ(TalkTcp(a.netns.get(), b.netns.get(), b_ip).value(), "10.88.0.2");
  EXPECT_EQ(TalkTcp(b.netns.get(), a.netns.get(), a_ip).value(), "10.88.0.3");
  // To the pod from the node, to the node by the gateway, to itself by lo.
  EXPECT_EQ(TalkTcp(node_.get(), a.netns.get(), a_ip).value(), "10.88.0.1");
  EXPECT_EQ(TalkTcp(a.netns.get(), node_.get(), Address("10.88.0.1"))
                .value_or("no answer"),
            "10.88.0.2");
  EXPECT_EQ(TalkTcp(a.netns.get(), a.netns.get(), Address("127.0.0.1"))
                .value_or("no answer"),
            "127.0.0.1");
  // Outside knows no pod: what comes from one wears the node's address.
  EXPECT_EQ(TalkTcp(a.netns.get(), outside_.get(), Address("192.0.2.2"))
                .value_or("no answer"),
            "192.0.2.1");
}

TEST_F(BridgeNetworkTest, DualStackPodsUseBothFamilies) {
  auto network = MakeNetwork({"10.88.0.0/16", "fd88::/64"});
  const Pod a = StartPod(*network, "a123456789012345");
  const Pod b = StartPod(*network, "b123456789012345");
  ASSERT_EQ(b.lease.addresses.size(), 2u);
  EXPECT_EQ(TalkTcp(a.netns.get(), b.netns.get(), b.lease.addresses[0].address)
                .value_or("no answer"),
            "10.88.0.2");
  EXPECT_EQ(TalkTcp(a.netns.get(), b.netns.get(), b.lease.addresses[1].address)
                .value_or("no answer"),
            "fd88::2");
  EXPECT_EQ(TalkTcp(a.netns.get(), outside_.get(), Address("192.0.2.2"))
                .value_or("no answer"),
            "192.0.2.1");
  EXPECT_EQ(TalkTcp(a.netns.get(), outside_.get(), Address("2001:db8::2"))
                .value_or("no answer"),
            "2001:db8::1");
}

TEST_F(BridgeNetworkTest, Ipv6AloneWorks) {
  auto network = MakeNetwork({"fd88::/64"});
  const Pod a = StartPod(*network, "a123456789012345");
  const Pod b = StartPod(*network, "b123456789012345");
  EXPECT_EQ(TalkTcp(a.netns.get(), b.netns.get(), b.lease.addresses[0].address)
                .value_or("no answer"),
            "fd88::2");
  EXPECT_EQ(TalkTcp(a.netns.get(), outside_.get(), Address("2001:db8::2"))
                .value_or("no answer"),
            "2001:db8::1");
}

TEST_F(BridgeNetworkTest, InspectShowsWhatThePodHas) {
  auto network = MakeNetwork({"10.88.0.0/16", "fd88::/64"});
  const Pod pod = StartPod(*network, "a123456789012345");
  const NetnsView view = network->Inspect(pod.netns.get()).value();
  const auto links = LinksOf(view);
  ASSERT_TRUE(links.contains("lo"));
  ASSERT_TRUE(links.contains("eth0"));
  EXPECT_TRUE(links.at("lo").up);
  EXPECT_TRUE(links.at("eth0").up);
  EXPECT_EQ(links.at("eth0").mtu, 1400);  // the uplink's
  EXPECT_EQ(pod.attachment.mtu, 1400);
  EXPECT_EQ(links.at("eth0").mac, "0a:57:0a:58:00:02");
  EXPECT_EQ(pod.attachment.mac, "0a:57:0a:58:00:02");
  EXPECT_EQ(pod.attachment.pod_ifname, "eth0");
  EXPECT_EQ(pod.attachment.host_ifname, HostIfname("a123456789012345"));
  EXPECT_THAT(links.at("eth0").addresses,
              UnorderedElementsAre("10.88.0.2/16", "fd88::2/64"));
  std::vector<std::string> routes;
  for (const RouteView& route : view.routes) {
    routes.push_back(
        absl::StrCat(route.destination, " ", route.gateway, " ", route.device));
  }
  // Nothing on link: the gateway is the only neighbour (NET-7).
  EXPECT_THAT(routes, UnorderedElementsAre("default 10.88.0.1 eth0",
                                           "default fd88::1 eth0"));
}

TEST_F(BridgeNetworkTest, InspectRefusesWhatIsNoNamespace) {
  auto network = MakeNetwork();
  const auto pipe = base::MakePipe().value();
  EXPECT_FALSE(network->Inspect(pipe.read.get()).ok());
  EXPECT_FALSE(network->Inspect(-1).ok());
}

TEST_F(BridgeNetworkTest, MtuOfTheOptionsWins) {
  BridgeNetworkOptions options;
  options.ranges = {Prefix("10.88.0.0/16")};
  options.mtu = 1300;
  auto network = BridgeNetwork::Create(options).value();
  ASSERT_TRUE(network->Init().ok());
  const Pod pod = StartPod(*network, "a123456789012345");
  EXPECT_EQ(LinksOf(*network->Inspect(pod.netns.get())).at("eth0").mtu, 1300);
}

// The address must be usable the moment Setup returns: bind() to a tentative
// one fails.
TEST_F(BridgeNetworkTest, Ipv6AddressNeedsNoWait) {
  auto network = MakeNetwork({"10.88.0.0/16", "fd88::/64"});
  const Pod pod = StartPod(*network, "a123456789012345");
  const auto fd = SocketIn(pod.netns.get(), AF_INET6, SOCK_STREAM, 0).value();
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  memcpy(&address.sin6_addr, pod.lease.addresses[1].address.data(), 16);
  EXPECT_EQ(
      bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0)
      << strerror(errno);
}

TEST_F(BridgeNetworkTest, InitTwiceChangesNothing) {
  auto network = MakeNetwork({"10.88.0.0/16", "fd88::/64"});
  const Pod a = StartPod(*network, "a123456789012345");
  const Pod b = StartPod(*network, "b123456789012345");
  const auto before = NodeState();
  EXPECT_TRUE(network->Init().ok());
  EXPECT_EQ(NodeState(), before);
  EXPECT_TRUE(
      TalkTcp(a.netns.get(), b.netns.get(), b.lease.addresses[0].address).ok());
}

TEST_F(BridgeNetworkTest, InitRepairsBridgeAndRules) {
  auto network = MakeNetwork();
  const Pod a = StartPod(*network, "a123456789012345");
  const Pod b = StartPod(*network, "b123456789012345");
  EXPECT_TRUE(network->CheckHealth().ready) << network->CheckHealth().message;
  NetlinkSocket socket = NetlinkSocket::Open(NETLINK_ROUTE).value();
  const int bridge = FindLink(socket, "warren0").value()->index;
  ASSERT_TRUE(socket.Execute(DeleteLink(bridge)).ok());
  EXPECT_EQ(network->CheckHealth().reason, "BridgeMissing");
  ASSERT_TRUE(network->Init().ok());
  EXPECT_TRUE(network->CheckHealth().ready) << network->CheckHealth().message;
  ASSERT_TRUE(PodRules("warren").Remove().ok());
  EXPECT_EQ(network->CheckHealth().reason, "RulesMissing");
  ASSERT_TRUE(network->Init().ok());
  ASSERT_TRUE(WriteSysctls({{"net/ipv4/ip_forward", "0"}}).ok());
  EXPECT_EQ(network->CheckHealth().reason, "ForwardingOff");
  ASSERT_TRUE(network->Init().ok());
  EXPECT_TRUE(network->CheckHealth().ready) << network->CheckHealth().message;
  EXPECT_EQ(TalkTcp(a.netns.get(), b.netns.get(), b.lease.addresses[0].address)
                .value_or("no answer"),
            "10.88.0.2");
  EXPECT_EQ(TalkTcp(a.netns.get(), outside_.get(), Address("192.0.2.2"))
                .value_or("no answer"),
            "192.0.2.1");
}

TEST_F(BridgeNetworkTest, CleanTakesEverythingBack) {
  const auto before = NodeState();
  ASSERT_TRUE(WriteSysctls({{"net/ipv4/ip_forward", "0"}}).ok());
  ASSERT_TRUE(WriteSysctls({{"net/ipv6/conf/all/forwarding", "0"}}).ok());
  {
    auto network = MakeNetwork({"10.88.0.0/16", "fd88::/64"});
    const Pod pod = StartPod(*network, "a123456789012345");
    EXPECT_EQ(ReadSysctl("net/ipv4/ip_forward").value(), "1");
    EXPECT_EQ(ReadSysctl("net/ipv6/conf/all/forwarding").value(), "1");
  }
  // By another process, so to say: it learns the old values from the bridge.
  BridgeNetworkOptions options;
  options.ranges = {Prefix("10.88.0.0/16")};
  auto cleaner = BridgeNetwork::Create(options).value();
  const absl::Status status = cleaner->Clean();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(NodeState(), before);
  EXPECT_FALSE(PodRules("warren").Present().value());
  EXPECT_EQ(ReadSysctl("net/ipv4/ip_forward").value(), "0");
  EXPECT_EQ(ReadSysctl("net/ipv6/conf/all/forwarding").value(), "0");
  EXPECT_TRUE(cleaner->Clean().ok());
}

TEST_F(BridgeNetworkTest, ForeignLinkOfTheBridgesNameIsKept) {
  NetlinkSocket socket = NetlinkSocket::Open(NETLINK_ROUTE).value();
  ASSERT_TRUE(socket.Execute(CreateBridge({"warren0", 0, {0x0a, 9}})).ok());
  BridgeNetworkOptions options;
  options.ranges = {Prefix("10.88.0.0/16")};
  auto network = BridgeNetwork::Create(options).value();
  const absl::Status status = network->Init();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(network->Clean().ok());
  EXPECT_TRUE(FindLink(socket, "warren0").value().has_value());
}

TEST_F(BridgeNetworkTest, RangeThatTheNodeRoutesIsRefused) {
  const absl::Status status =
      CheckRangesAgainstHostRoutes({Prefix("192.0.0.0/16")}, "warren0");
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("192.0.2.0/24 by up0"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("10.0.0.0/16 is free"));
  BridgeNetworkOptions options;
  options.ranges = {Prefix("192.0.0.0/16")};
  auto network = BridgeNetwork::Create(options).value();
  const auto before = NodeState();
  EXPECT_TRUE(absl::IsFailedPrecondition(network->Init()));
  EXPECT_EQ(NodeState(), before);
  // Our own route is no clash.
  auto other = MakeNetwork({"10.99.0.0/16"});
  EXPECT_TRUE(
      CheckRangesAgainstHostRoutes({Prefix("10.99.0.0/16")}, "warren0").ok());
  EXPECT_FALSE(CheckRangesAgainstHostRoutes({Prefix("10.99.0.0/16")}, "").ok());
}

TEST_F(BridgeNetworkTest, PodRangesChangeWhileNoPodHoldsAddresses) {
  auto network = MakeNetwork();
  const std::vector<IpPrefix> wider = {Prefix("10.77.0.0/24"),
                                       Prefix("fd77::/64")};
  {
    const Pod pod = StartPod(*network, "a123456789012345");
    EXPECT_TRUE(network->SetPodRanges({Prefix("10.88.0.0/16")}, kForever).ok());
    EXPECT_TRUE(network->Detach(pod.state, kForever).ok());
  }
  EXPECT_TRUE(absl::IsInvalidArgument(network->SetPodRanges({}, kForever)));
  EXPECT_TRUE(absl::IsInvalidArgument(
      network->SetPodRanges({Prefix("224.0.0.0/24")}, kForever)));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      network->SetPodRanges({Prefix("192.0.2.0/25")}, kForever)));
  const absl::Status status = network->SetPodRanges(wider, kForever);
  ASSERT_TRUE(status.ok()) << status;
  const Pod a = StartPod(*network, "b123456789012345");
  const Pod b = StartPod(*network, "c123456789012345");
  EXPECT_EQ(TalkTcp(a.netns.get(), b.netns.get(), b.lease.addresses[1].address)
                .value_or("no answer"),
            "fd77::2");
  EXPECT_EQ(TalkTcp(a.netns.get(), outside_.get(), Address("192.0.2.2"))
                .value_or("no answer"),
            "192.0.2.1");
  const auto state = NodeState();
  EXPECT_THAT(state, Contains("address warren0 10.77.0.1/24"));
  EXPECT_THAT(state, Not(Contains("address warren0 10.88.0.1/16")));
}

}  // namespace
}  // namespace warren::netplugin
