// Tables that all pods of a node share, under attack by one of them: the
// forwarding table of the bridge (NET-6) and the neighbour table (NET-7).

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_bridge.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "netplugin/bridge/plan.h"
#include "netplugin/bridge/wiring.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/netlink/netns.h"
#include "netplugin/nft/rules.h"
#include "runtime/base/file.h"
#include "tests/kernel/netplugin_node.h"
#include "tests/kernel/netplugin_tables.h"
#include "tests/kernel/netplugin_traffic.h"
#include "tests/support/patience.h"

namespace warren::netplugin {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;
using testing::UnorderedElementsAre;

TEST_F(SharedTablesTest, NET_6_FramesOfAPodMoveNoAddress) {
  Start();
  const auto before = ForwardingTable();
  EXPECT_THAT(before, UnorderedElementsAre(
                          absl::StrCat(FormatMac(PodMac(mallory_.lease)),
                                       " port ", Port(mallory_), " static"),
                          absl::StrCat(FormatMac(PodMac(alice_.lease)),
                                       " port ", Port(alice_), " static")));
  const MacAddress random = {0x0a, 1, 2, 3, 4, 5};
  SendOddFrames(mallory_, PodMac(alice_.lease));
  SendOddFrames(mallory_, random);
  Flush(mallory_);
  EXPECT_EQ(ForwardingTable(), before);
  for (int i = 0; i < 10; ++i) Flush(alice_);

  // Not even where the port learns and nothing filters, which lets the frames
  // of strangers in.
  ASSERT_TRUE(PodRules("warren").Remove().ok());
  LetLearn(mallory_);
  SendOddFrames(mallory_, PodMac(alice_.lease));
  SendOddFrames(mallory_, random);
  Flush(mallory_);
  EXPECT_THAT(ForwardingTable(), IsSupersetOf(before));
  EXPECT_THAT(ForwardingTable(),
              Contains(HasSubstr(FormatMac(random) + " port")));
  Flush(alice_);
}

TEST_F(SharedTablesTest, NET_6_FramesToTheBridgeItselfReachNobody) {
  Start();
  const base::UniqueFd listener =
      SocketIn(node_.get(), AF_PACKET, SOCK_RAW, htons(0x88cc)).value();
  const std::string frame =
      AnyFrame(PodMac(mallory_.lease), {0x01, 0x80, 0xc2, 0, 0, 0x0e}, 0x88cc,
               "\x02\x07\x04");
  char byte;
  Send(mallory_, frame);
  Flush(mallory_);
  EXPECT_EQ(recv(listener.get(), &byte, 1, MSG_DONTWAIT), -1);
  ASSERT_TRUE(PodRules("warren").Remove().ok());
  Send(mallory_, frame);
  Flush(mallory_);
  EXPECT_EQ(recv(listener.get(), &byte, 1, MSG_DONTWAIT), 1);
}

TEST_F(SharedTablesTest, NET_6_PodsOfAnOlderAgentAreGuarded) {
  Start();
  const auto guarded = ForwardingTable();
  for (const Pod* pod : {&mallory_, &alice_}) {
    LetLearn(*pod);
    Forget(*pod);
  }
  Flush(mallory_);
  Flush(alice_);
  EXPECT_THAT(ForwardingTable(), Not(Contains(HasSubstr("static"))));
  // Before any record was read.
  network_ = MakeNetwork({"10.88.0.0/16", "fd88::/64"});
  EXPECT_EQ(ForwardingTable(), guarded);
  SendOddFrames(mallory_, {0x0a, 1, 2, 3, 4, 5});
  Flush(mallory_);
  EXPECT_EQ(ForwardingTable(), guarded);
  // And by the check, whose pod may have had no rule.
  LetLearn(alice_);
  Forget(alice_);
  ASSERT_TRUE(network_->Check(alice_.state, alice_.netns.get(), kForever).ok());
  EXPECT_EQ(ForwardingTable(), guarded);
}

TEST_F(SharedTablesTest, BroadcastAndMulticastReachOtherPods) {
  Start();
  const timeval timeout = {
      absl::ToInt64Seconds(test::Patience(absl::Seconds(5))), 0};
  const IpAddress own = mallory_.lease.addresses[0].address;
  // The ports are up once something has passed them.
  Flush(mallory_);
  Flush(alice_);
  const std::vector<std::pair<MacAddress, const char*>> groups = {
      {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "10.88.255.255"},
      {{0x01, 0, 0x5e, 0, 0, 0xfb}, "224.0.0.251"}};
  for (const auto& [mac, address] : groups) {
    const base::UniqueFd listener =
        SocketIn(alice_.netns.get(), AF_PACKET, SOCK_RAW, htons(ETH_P_IP))
            .value();
    setsockopt(listener.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout,
               sizeof(timeout));
    Send(mallory_,
         UdpFrame(PodMac(mallory_.lease), mac, own, Address(address), address));
    char frame[256];
    const ssize_t got = recv(listener.get(), frame, sizeof(frame), 0);
    ASSERT_GT(got, 0) << address << ": " << strerror(errno);
    EXPECT_THAT(std::string(frame, got), HasSubstr(address));
  }
  // Neighbour discovery is a multicast, of a node that has to ask.
  NetlinkSocket node = SocketOf(node_.get());
  ForgetNeighbours(node, FindLink(node, "warren0").value()->index,
                   {alice_.lease.addresses[1].address});
  EXPECT_EQ(TalkTcp(node_.get(), alice_.netns.get(),
                    alice_.lease.addresses[1].address)
                .value_or("no answer"),
            "fd88::1");
}

// The hop limit of what arrives: nobody has routed it.
TEST_F(SharedTablesTest, PodsReachEachOtherWithoutARouter) {
  Start();
  const base::UniqueFd listener =
      SocketIn(alice_.netns.get(), AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP))
          .value();
  const IpAddress hers = alice_.lease.addresses[0].address;
  ASSERT_TRUE(TalkTcp(mallory_.netns.get(), alice_.netns.get(), hers).ok());
  char packet[64];
  ASSERT_GT(recv(listener.get(), packet, sizeof(packet), MSG_DONTWAIT), 20);
  EXPECT_EQ(packet[8], 64);
}

TEST_F(SharedTablesTest, NET_7_APodKnowsNoNeighbourButItsGateway) {
  Start();
  for (const IpPrefix& address : alice_.lease.addresses) {
    ASSERT_TRUE(
        TalkTcp(mallory_.netns.get(), alice_.netns.get(), address.address)
            .ok());
  }
  Flush(mallory_);
  const std::string gateway =
      absl::StrCat(" lladdr ", FormatMac(BridgeMac("warren0")));
  auto known = Neighbours(mallory_.netns.get());
  std::erase_if(known, [](const std::string& line) {
    return absl::StartsWith(line, "ff02:") || absl::StartsWith(line, "224.");
  });
  EXPECT_THAT(known,
              UnorderedElementsAre("10.88.0.1" + gateway, "fd88::1" + gateway));
}

// Nor does the node ask for pods; what it knows of them goes with them.
TEST_F(SharedTablesTest, NET_7_TheNodeForgetsPodsThatAreGone) {
  Start();
  const auto knows = [&](const IpPrefix& address) {
    const auto known = Neighbours(node_.get());
    return std::any_of(known.begin(), known.end(), [&](const auto& line) {
      return absl::StartsWith(
          line, absl::StrCat(address.address.ToString(), " lladdr "));
    });
  };
  for (const IpPrefix& address : alice_.lease.addresses) {
    EXPECT_TRUE(knows(address)) << address.ToString();
  }
  ASSERT_TRUE(network_->Detach(alice_.state, kForever).ok());
  for (const IpPrefix& address : alice_.lease.addresses) {
    EXPECT_FALSE(knows(address)) << address.ToString();
  }
  // One that an agent of before has left.
  network_ = MakeNetwork({"10.88.0.0/16", "fd88::/64"});
  ASSERT_TRUE(network_->RemoveOrphans({}, kForever).ok());
  for (const IpPrefix& address : mallory_.lease.addresses) {
    EXPECT_FALSE(knows(address)) << address.ToString();
  }
}

TEST_F(SharedTablesTest, NET_7_UnusedAddressesFillNoTable) {
  Start();
  Flush(mallory_);
  const int own = OwnEntries();
  const int all = AllEntries();
  SendToUnused(mallory_.netns.get(), 1000, 0);
  // By way of the node, as a pod in its namespace can do.
  SendToUnused(node_.get(), 1000, 0);
  EXPECT_LE(OwnEntries() - own, kBound);
  EXPECT_LE(AllEntries() - all, kBound + kNoise);
  // Others go on.
  Flush(alice_);
  // Without the rules the node asks for each.
  ASSERT_TRUE(PodRules("warren").Remove().ok());
  SendToUnused(node_.get(), 100, 0);
  EXPECT_GE(OwnEntries() - own, 100);
}

// A program may say that its peer is on link, whatever the routes say. The
// entries that this makes have failed at once, so that others may have them.
TEST_F(SharedTablesTest, NET_7_NobodyIsAskedForByAPod) {
  Start();
  SendToUnused(mallory_.netns.get(), 100, MSG_DONTROUTE);
  EXPECT_EQ(UnansweredNeighbours(mallory_.netns.get()), 0);
}

TEST_F(SharedTablesTest, NET_7_AnUnusedAddressIsRefusedAtOnce) {
  Start();
  const auto fd =
      SocketIn(mallory_.netns.get(), AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)
          .value();
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(80);
  memcpy(&to.sin_addr, Address("10.88.64.1").data(), 4);
  ASSERT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)),
            -1);
  pollfd poll_fd = {fd.get(), POLLOUT, 0};
  ASSERT_EQ(poll(&poll_fd, 1,
                 absl::ToInt64Milliseconds(test::Patience(absl::Seconds(10)))),
            1);
  int err = 0;
  socklen_t size = sizeof(err);
  getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &err, &size);
  EXPECT_EQ(err, EHOSTUNREACH) << strerror(err);
}

// Pods hold the gateway's MAC for ever: a bridge that comes back has it.
TEST_F(SharedTablesTest, ABridgeThatComesBackHasTheSameMac) {
  Start();
  NetlinkSocket node = SocketOf(node_.get());
  const int bridge = FindLink(node, "warren0").value()->index;
  ASSERT_TRUE(node.Execute(DeleteLink(bridge)).ok());
  ASSERT_TRUE(network_->Init().ok());
  Flush(mallory_);
  for (const IpPrefix& address : alice_.lease.addresses) {
    EXPECT_TRUE(
        TalkTcp(mallory_.netns.get(), alice_.netns.get(), address.address)
            .ok());
  }
  // The random one of an older agent is given up.
  const int again = FindLink(node, "warren0").value()->index;
  ASSERT_TRUE(node.Execute(SetMac(again, {0x0a, 9, 9, 9, 9, 9})).ok());
  network_ = MakeNetwork({"10.88.0.0/16", "fd88::/64"});
  EXPECT_EQ(FindLink(node, "warren0").value()->mac, BridgeMac("warren0"));
  Flush(mallory_);
  Flush(alice_);
}

}  // namespace
}  // namespace warren::netplugin
