// Two Warrens on one node, each with a bridge, a table and a range of its own
// (NET-9), and pods of an agent that had one link group for all.

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
// After netinet/in.h, whose types the next ones redefine otherwise.
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "netplugin/bridge/plan.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/netlink/sysctl.h"
#include "netplugin/nft/rules.h"
#include "tests/kernel/netplugin_node.h"
#include "tests/kernel/netplugin_traffic.h"
#include "tests/support/patience.h"

namespace warren::netplugin {
namespace {

using testing::HasSubstr;

class InstancesTest : public NodeTest {
 protected:
  struct Instance {
    const char* bridge;
    const char* table;
    const char* range;
  };
  static constexpr Instance kFirst = {"warren0", "warren", "10.88.0.0/16"};
  static constexpr Instance kSecond = {"test1", "second", "10.77.0.0/16"};

  static std::unique_ptr<BridgeNetwork> Make(const Instance& instance) {
    BridgeNetworkOptions options;
    options.bridge = instance.bridge;
    options.table = instance.table;
    options.ranges = {Prefix(instance.range)};
    return BridgeNetwork::Create(options).value();
  }
  static std::unique_ptr<BridgeNetwork> Start(const Instance& instance) {
    auto network = Make(instance);
    const absl::Status status = network->Init();
    EXPECT_TRUE(status.ok()) << status;
    return network;
  }

  // A new agent finds these pods again, and nothing else.
  static std::unique_ptr<BridgeNetwork> Restart(
      const Instance& instance, const std::vector<const Pod*>& pods) {
    auto network = Start(instance);
    std::vector<std::string> ids;
    for (const Pod* pod : pods) {
      const auto check = network->Check(pod->state, pod->netns.get(), kForever);
      EXPECT_TRUE(check.ok()) << check.status();
      EXPECT_EQ(check->verdict, PodCheck::Verdict::kIntact) << check->problem;
      ids.push_back(pod->lease.sandbox_id);
    }
    EXPECT_EQ(network->RemoveOrphans(ids, kForever).value_or(-1), 0);
    return network;
  }

  // They reach each other, the node and the world beyond.
  void ExpectConnected(const Pod& a, const Pod& b) {
    const auto pair =
        TalkTcp(a.netns.get(), b.netns.get(), b.lease.addresses[0].address);
    EXPECT_TRUE(pair.ok()) << pair.status();
    const auto node =
        TalkTcp(node_.get(), a.netns.get(), a.lease.addresses[0].address);
    EXPECT_TRUE(node.ok()) << node.status();
    EXPECT_EQ(TalkTcp(b.netns.get(), outside_.get(), Address("192.0.2.2"))
                  .value_or("no answer"),
              "192.0.2.1");
  }

  // Rules and elements of both tables of this name, as the kernel tells them;
  // their handles are in it, so that "removed and made again" shows.
  static std::vector<std::string> Dump(const std::string& table) {
    std::vector<std::string> lines;
    NetlinkSocket socket = NetlinkSocket::Open(NETLINK_NETFILTER).value();
    for (const uint16_t family : {NFPROTO_INET, NFPROTO_BRIDGE}) {
      std::vector<char> buffer(4096);
      nlmsghdr* message = nftnl_nlmsg_build_hdr(buffer.data(), NFT_MSG_GETRULE,
                                                family, NLM_F_DUMP, 0);
      mnl_attr_put_strz(message, NFTA_RULE_TABLE, table.c_str());
      const absl::Status status = socket.SendRaw(
          {buffer.data(), message->nlmsg_len}, {"listing rules"},
          [&](const nlmsghdr* answer) {
            // Behind the family header, which has the number of the last
            // transaction of all tables.
            lines.emplace_back(reinterpret_cast<const char*>(answer) + 20,
                               answer->nlmsg_len - 20);
          });
      EXPECT_TRUE(status.ok()) << status;
    }
    EXPECT_FALSE(lines.empty());
    const std::vector<PodPort> ports = PodRules(table).Ports().value();
    for (const PodPort& port : ports) {
      lines.push_back(
          absl::StrCat(port.host_ifname, " ", port.addresses[0].ToString()));
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  // A frame of `pod` with the address of somebody else reaches the node.
  bool SpoofPasses(const Pod& pod, const std::string& bridge,
                   const IpAddress& gateway) {
    // A port that has just been made drops frames; it is ready once something
    // has passed it.
    EXPECT_TRUE(TalkTcp(pod.netns.get(), node_.get(), gateway).ok());
    NetlinkSocket socket = NetlinkSocket::Open(NETLINK_ROUTE).value();
    const MacAddress mac = FindLink(socket, bridge).value()->mac;
    base::UniqueFd fd = SocketIn(node_.get(), AF_INET, SOCK_DGRAM, 0).value();
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(kTestPort);
    EXPECT_EQ(
        bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
        0);
    const timeval timeout = {
        absl::ToInt64Seconds(test::Patience(absl::Seconds(5))), 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    const IpAddress own = pod.lease.addresses[0].address;
    for (const auto& [from, text] :
         {std::pair(own.Plus(100), "s"), std::pair(own, "h")}) {
      EXPECT_TRUE(
          SendFrame(pod.netns.get(), "eth0",
                    UdpFrame(PodMac(pod.lease), mac, from, gateway, text))
              .ok());
    }
    // The honest one comes behind the other.
    char first = 0;
    EXPECT_EQ(recv(fd.get(), &first, 1, 0), 1);
    return first == 's';
  }

  // As an agent would have left it that knew one group for all instances.
  static void MakeOld(const std::string& bridge,
                      const std::vector<const Pod*>& pods) {
    NetlinkSocket node = NetlinkSocket::Open(NETLINK_ROUTE).value();
    const Link link = *FindLink(node, bridge).value();
    const std::string alias =
        EncodeBridgeAlias({"", DecodeBridgeAlias(link.alias)->saved});
    ASSERT_TRUE(node.Execute(SetAlias(link.index, alias)).ok());
    ASSERT_TRUE(node.Execute(SetGroup(link.index, kOldLinkGroup)).ok());
    for (const Pod* pod : pods) {
      const int port =
          FindLink(node, pod->attachment.host_ifname).value()->index;
      ASSERT_TRUE(node.Execute(SetGroup(port, kOldLinkGroup)).ok());
    }
  }

  static uint32_t GroupOf(const std::string& name) {
    NetlinkSocket node = NetlinkSocket::Open(NETLINK_ROUTE).value();
    return FindLink(node, name).value()->group;
  }
};

TEST_F(InstancesTest, NET_9_TwoInstancesDoNotTouchEachOther) {
  auto first = Start(kFirst);
  const Pod a = StartPod(*first, "a-1");
  const Pod b = StartPod(*first, "a-2");
  const auto rules = Dump("warren");
  auto second = Start(kSecond);
  ExpectConnected(a, b);
  const Pod c = StartPod(*second, "b-1");
  const Pod d = StartPod(*second, "b-2");
  const auto others = Dump("second");
  ExpectConnected(a, b);
  ExpectConnected(c, d);
  EXPECT_EQ(Dump("warren"), rules);

  // Reconciles and restarts, of either.
  EXPECT_EQ(*second->RemoveOrphans({}, kForever), 0);
  EXPECT_EQ(*first->RemoveOrphans({}, kForever), 0);
  EXPECT_EQ(Dump("warren"), rules);
  EXPECT_EQ(Dump("second"), others);
  second = Restart(kSecond, {&c, &d});
  EXPECT_EQ(Dump("warren"), rules);
  first = Restart(kFirst, {&a, &b});
  ExpectConnected(a, b);
  ExpectConnected(c, d);

  // Stops, of either.
  const auto again = Dump("warren");
  ASSERT_TRUE(second->Detach(c.state, kForever).ok());
  ASSERT_TRUE(second->Drain(kForever).ok());
  EXPECT_EQ(Dump("warren"), again);
  ExpectConnected(a, b);
  const auto left = Dump("second");
  ASSERT_TRUE(first->Detach(a.state, kForever).ok());
  ASSERT_TRUE(first->Drain(kForever).ok());
  EXPECT_EQ(Dump("second"), left);
  const Pod e = StartPod(*first, "a-3");
  const Pod f = StartPod(*second, "b-3");
  ExpectConnected(b, e);
  ExpectConnected(d, f);
}

TEST_F(InstancesTest, NET_9_ALoosePortIsLeftToItsInstance) {
  auto first = Start(kFirst);
  const Pod a = StartPod(*first, "a-1");
  const Pod b = StartPod(*first, "a-2");
  NetlinkSocket node = NetlinkSocket::Open(NETLINK_ROUTE).value();
  ASSERT_TRUE(
      node.Execute(DeleteLink(FindLink(node, "warren0").value()->index)).ok());
  auto second = Start(kSecond);
  EXPECT_EQ(*second->RemoveOrphans({}, kForever), 0);
  EXPECT_EQ(FindLink(node, a.attachment.host_ifname).value()->master, 0);
  first = Restart(kFirst, {&a, &b});
  ExpectConnected(a, b);
}

TEST_F(InstancesTest, NET_9_ForwardingStaysUntilTheLastIsCleaned) {
  for (const bool first_leaves : {true, false}) {
    ASSERT_TRUE(WriteSysctls({{"net/ipv4/ip_forward", "0"}}).ok());
    auto first = Start(kFirst);
    auto second = Start(kSecond);
    const Instance& left = first_leaves ? kSecond : kFirst;
    BridgeNetwork& leaver = first_leaves ? *first : *second;
    BridgeNetwork& stayer = first_leaves ? *second : *first;
    const Pod a = StartPod(stayer, "1");
    const Pod b = StartPod(stayer, "2");
    ASSERT_TRUE(leaver.Clean().ok());
    EXPECT_EQ(ReadSysctl("net/ipv4/ip_forward").value(), "1");
    ExpectConnected(a, b);
    // By another process, so to say.
    ASSERT_TRUE(Make(left)->Clean().ok());
    EXPECT_EQ(ReadSysctl("net/ipv4/ip_forward").value(), "0");
  }
}

TEST_F(InstancesTest, NET_9_TheTableOfAnotherIsRefused) {
  auto first = Start(kFirst);
  const auto before = NodeState();
  auto second = Make({"test1", "warren", "10.77.0.0/16"});
  const absl::Status status = second->Init();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("network.table"));
  EXPECT_EQ(NodeState(), before);
  const Pod a = StartPod(*first, "a-1");
  const Pod b = StartPod(*first, "a-2");
  ExpectConnected(a, b);
}

TEST_F(InstancesTest, NET_9_PodsOfAnOlderAgentGetTheirOwnGroup) {
  auto first = Start(kFirst);
  const Pod a = StartPod(*first, "a-1");
  const Pod b = StartPod(*first, "a-2");
  auto second = Start(kSecond);
  const Pod c = StartPod(*second, "b-1");
  const Pod d = StartPod(*second, "b-2");
  MakeOld("warren0", {&a, &b});
  MakeOld("test1", {&c, &d});
  first = Restart(kFirst, {&a, &b});
  for (const std::string& name :
       {std::string("warren0"), a.attachment.host_ifname,
        b.attachment.host_ifname}) {
    EXPECT_EQ(GroupOf(name), LinkGroupOf("warren0")) << name;
  }
  for (const std::string& name :
       {std::string("test1"), c.attachment.host_ifname}) {
    EXPECT_EQ(GroupOf(name), kOldLinkGroup) << name;
  }
  ExpectConnected(a, b);
  EXPECT_FALSE(SpoofPasses(a, "warren0", Address("10.88.0.1")));
  // Ports whose bridge was deleted: the table tells whose they are.
  NetlinkSocket node = NetlinkSocket::Open(NETLINK_ROUTE).value();
  ASSERT_TRUE(
      node.Execute(DeleteLink(FindLink(node, "test1").value()->index)).ok());
  first = Restart(kFirst, {&a, &b});
  EXPECT_EQ(GroupOf(c.attachment.host_ifname), kOldLinkGroup);
  second = Restart(kSecond, {&c, &d});
  EXPECT_EQ(GroupOf(c.attachment.host_ifname), LinkGroupOf("test1"));
  ExpectConnected(c, d);
  ExpectConnected(a, b);
}

TEST_F(InstancesTest, NET_1_PortsAreFilteredWhileTheyChangeTheirGroup) {
  auto first = Start(kFirst);
  const Pod a = StartPod(*first, "a-1");
  MakeOld("warren0", {&a});
  PodRules rules("warren");
  SharedRules shared{"warren0",
                     LinkGroupOf("warren0"),
                     {Prefix("10.88.0.0/16")},
                     {Address("10.88.0.1")}};
  ASSERT_TRUE(rules.Ensure(shared).ok());
  EXPECT_TRUE(SpoofPasses(a, "warren0", Address("10.88.0.1")));
  shared.moving = {a.attachment.host_ifname};
  ASSERT_TRUE(rules.Ensure(shared).ok());
  EXPECT_FALSE(SpoofPasses(a, "warren0", Address("10.88.0.1")));
}

}  // namespace
}  // namespace warren::netplugin
