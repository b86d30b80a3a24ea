// The node forwards for pods, and for others only what it forwarded before
// (NET-8).

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "netplugin/netlink/address.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/netlink/netns.h"
#include "netplugin/netlink/route.h"
#include "netplugin/netlink/sysctl.h"
#include "runtime/base/file.h"
#include "tests/kernel/netplugin_node.h"
#include "tests/kernel/netplugin_traffic.h"
#include "tests/support/temp_directory.h"

namespace warren::netplugin {
namespace {

using testing::HasSubstr;

// Beside `outside_` there is a second network, which the node joins to it as
// soon as it forwards.
class ForwardingTest : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    if (IsSkipped()) return;
    other_ = NewNetns();
    NetlinkSocket node = Open(node_.get());
    NetlinkSocket other = Open(other_.get());
    NetlinkSocket outside = Open(outside_.get());
    // So that the ends differ in index (see netplugin_node).
    Do(other, CreateBridge({"lan1", 0, {0x0a, 2}}));
    Do(node,
       CreateVeth(
           {"up1", 0, 0, 1400, "far1", {0x0a, 0, 0, 0, 0, 2}, other_.get()}));
    const int up1 = FindLink(node, "up1").value()->index;
    const int far1 = FindLink(other, "far1").value()->index;
    const int far0 = FindLink(outside, "far0").value()->index;
    Do(node, AddAddress(up1, Prefix("198.51.100.1/24")));
    Do(node, AddAddress(up1, Prefix("2001:db8:1::1/64")));
    Do(other, AddAddress(far1, Prefix("198.51.100.2/24")));
    Do(other, AddAddress(far1, Prefix("2001:db8:1::2/64")));
    Do(other, netplugin::SetUp(far1));
    Do(other, AddDefaultRoute(far1, Address("198.51.100.1")));
    Do(other, AddDefaultRoute(far1, Address("2001:db8:1::1")));
    Do(outside, AddDefaultRoute(far0, Address("192.0.2.1")));
    Do(outside, AddDefaultRoute(far0, Address("2001:db8::1")));
    SetForwarding("0");
  }

  static NetlinkSocket Open(int netns) {
    absl::StatusOr<NetlinkSocket> socket = absl::InternalError("");
    EXPECT_TRUE(InNetns(netns, [&] {
                  socket = NetlinkSocket::Open(NETLINK_ROUTE);
                  return socket.status();
                }).ok());
    return *std::move(socket);
  }
  static void Do(NetlinkSocket& socket, Request request) {
    const absl::Status status = socket.Execute(std::move(request));
    ASSERT_TRUE(status.ok()) << status;
  }
  static void SetForwarding(const char* value) {
    ASSERT_TRUE(WriteSysctls({{"net/ipv4/ip_forward", value},
                              {"net/ipv6/conf/all/forwarding", value}})
                    .ok());
  }

  std::unique_ptr<BridgeNetwork> Start(bool forward_others = false) {
    BridgeNetworkOptions options;
    options.ranges = {Prefix("10.88.0.0/16"), Prefix("fd88::/64")};
    options.run_dir = run_dir_.path();
    options.forward_others = forward_others;
    auto network = BridgeNetwork::Create(options).value();
    const absl::Status status = network->Init();
    EXPECT_TRUE(status.ok()) << status;
    return network;
  }

  bool StrangersMeet(const char* address) {
    return TalkTcp(other_.get(), outside_.get(), Address(address)).ok();
  }

  void ExpectPodsConnected(BridgeNetwork& network) {
    const Pod a = StartPod(network, "a");
    const Pod b = StartPod(network, "b");
    EXPECT_TRUE(
        TalkTcp(a.netns.get(), b.netns.get(), b.lease.addresses[0].address)
            .ok());
    for (const char* outside : {"192.0.2.2", "2001:db8::2"}) {
      const auto seen =
          TalkTcp(a.netns.get(), outside_.get(), Address(outside));
      EXPECT_TRUE(seen.ok()) << seen.status();
    }
    // From outside, which routes to pods by the node.
    const auto seen =
        TalkTcp(other_.get(), a.netns.get(), a.lease.addresses[0].address);
    EXPECT_EQ(seen.value_or("no answer"), "198.51.100.2");
    EXPECT_TRUE(network.Detach(a.state, kForever).ok());
    EXPECT_TRUE(network.Detach(b.state, kForever).ok());
  }

  std::string Record() {
    return base::ReadFileAt(AT_FDCWD,
                            absl::StrCat(run_dir_.path(), "/forwarding"))
        .value_or("no record");
  }

  test::TempDirectory run_dir_;
  base::UniqueFd other_;
};

TEST_F(ForwardingTest, NET_8_StrangersDoNotMeetByTheNode) {
  auto network = Start();
  EXPECT_EQ(ReadSysctl("net/ipv4/ip_forward").value(), "1");
  ExpectPodsConnected(*network);
  EXPECT_EQ(network->Refused(), "");
  EXPECT_FALSE(StrangersMeet("192.0.2.2"));
  EXPECT_FALSE(StrangersMeet("2001:db8::2"));
  EXPECT_THAT(network->Refused(), HasSubstr("network.forward_others"));
  // A new agent finds forwarding on; the record knows better, whatever became
  // of the bridge.
  network.reset();
  NetlinkSocket node = Open(node_.get());
  Do(node, DeleteLink(FindLink(node, "warren0").value()->index));
  network = Start();
  EXPECT_FALSE(StrangersMeet("192.0.2.2"));
  ExpectPodsConnected(*network);
  // The bridge remembers it again, too.
  ASSERT_TRUE(network->Clean().ok());
  EXPECT_EQ(ReadSysctl("net/ipv4/ip_forward").value(), "0");
  EXPECT_EQ(Record(), "no record");
}

TEST_F(ForwardingTest, NET_8_TheKeyLetsThemMeet) {
  auto network = Start();
  network = Start(/*forward_others=*/true);
  EXPECT_TRUE(StrangersMeet("192.0.2.2"));
  EXPECT_TRUE(StrangersMeet("2001:db8::2"));
  EXPECT_EQ(network->Refused(), "");
  ExpectPodsConnected(*network);
  // And the record is still that of before.
  EXPECT_THAT(Record(), HasSubstr("\nnet/ipv4/ip_forward 0\n"));
}

TEST_F(ForwardingTest, NET_8_WhatWasForwardedBeforeGoesOn) {
  SetForwarding("1");
  auto network = Start();
  EXPECT_TRUE(StrangersMeet("192.0.2.2"));
  EXPECT_TRUE(StrangersMeet("2001:db8::2"));
  EXPECT_THAT(Record(), HasSubstr("\nnet/ipv6/conf/all/forwarding 1\n"));
  ExpectPodsConnected(*network);
}

// One family alone; and a record that says nothing of this boot.
TEST_F(ForwardingTest, NET_8_TheRecordIsOfThisBoot) {
  const base::UniqueFd directory =
      base::MakeDirs(AT_FDCWD, run_dir_.path(), 0700).value();
  ASSERT_TRUE(base::WriteFileAtomic(directory.get(), "forwarding",
                                    "warren-forwarding 1\nboot another\n"
                                    "net/ipv4/ip_forward 0\n"
                                    "net/ipv6/conf/all/forwarding 1\n",
                                    0600)
                  .ok());
  ASSERT_TRUE(WriteSysctls({{"net/ipv4/ip_forward", "1"}}).ok());
  auto network = Start();
  EXPECT_TRUE(StrangersMeet("192.0.2.2"));
  EXPECT_FALSE(StrangersMeet("2001:db8::2"));
  EXPECT_THAT(Record(), HasSubstr("\nnet/ipv4/ip_forward 1\n"
                                  "net/ipv6/conf/all/forwarding 0\n"));
}

// An agent that kept no record has left the bridge's alias.
TEST_F(ForwardingTest, NET_8_WhatAnOlderAgentRememberedCounts) {
  auto network = Start();
  network.reset();
  ASSERT_EQ(unlink(absl::StrCat(run_dir_.path(), "/forwarding").c_str()), 0);
  network = Start();
  EXPECT_FALSE(StrangersMeet("192.0.2.2"));
  EXPECT_THAT(Record(), HasSubstr("\nnet/ipv4/ip_forward 0\n"));
}

// The second of two instances finds forwarding on, but by the first.
TEST_F(ForwardingTest, NET_8_TwoInstancesForwardForTheirPodsOnly) {
  auto first = Start();
  BridgeNetworkOptions options;
  options.bridge = "test1";
  options.table = "second";
  options.ranges = {Prefix("10.77.0.0/16")};
  const test::TempDirectory run_dir;
  options.run_dir = run_dir.path();
  auto second = BridgeNetwork::Create(options).value();
  ASSERT_TRUE(second->Init().ok());
  EXPECT_FALSE(StrangersMeet("192.0.2.2"));
  ExpectPodsConnected(*first);
  const Pod c = StartPod(*second, "c");
  EXPECT_TRUE(
      TalkTcp(c.netns.get(), outside_.get(), Address("192.0.2.2")).ok());
  ASSERT_TRUE(first->Clean().ok());
  EXPECT_FALSE(StrangersMeet("192.0.2.2"));
  EXPECT_TRUE(
      TalkTcp(c.netns.get(), outside_.get(), Address("192.0.2.2")).ok());
}

}  // namespace
}  // namespace warren::netplugin
