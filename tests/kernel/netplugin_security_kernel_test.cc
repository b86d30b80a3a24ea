// A hostile pod with CAP_NET_RAW on the bridge (NET-1). Each attack is also
// made with the packet rules gone, to show that it would work.

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "netplugin/bridge/plan.h"
#include "netplugin/bridge/wiring.h"
#include "netplugin/netlink/inspect.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/netlink/netns.h"
#include "netplugin/netlink/sysctl.h"
#include "netplugin/nft/rules.h"
#include "tests/kernel/netplugin_node.h"
#include "tests/kernel/netplugin_traffic.h"
#include "tests/support/patience.h"

namespace warren::netplugin {
namespace {

using testing::Contains;

class NetworkSecurityTest : public NodeTest {
 protected:
  void Start(const std::vector<const char*>& ranges) {
    network_ = MakeNetwork(ranges);
    mallory_ = StartPod(*network_, "mallory");
    alice_ = StartPod(*network_, "alice");
    NetlinkSocket socket = NetlinkSocket::Open(NETLINK_ROUTE).value();
    bridge_mac_ = FindLink(socket, "warren0").value()->mac;
    // A port that has just been made drops frames; it is ready once something
    // has passed it.
    Flush(mallory_);
    Flush(alice_);
  }

  static std::string SysctlIn(int netns, const std::string& path) {
    std::string value;
    EXPECT_TRUE(InNetns(netns, [&]() -> absl::Status {
                  auto got = ReadSysctl(path);
                  value = got.value_or("missing");
                  return absl::OkStatus();
                }).ok());
    return value;
  }

  // Once this is through, frames that `pod` sent before are, too: they take
  // the same way.
  void Flush(const Pod& pod) {
    const auto seen = TalkTcp(
        pod.netns.get(), node_.get(),
        *IpAddress::Parse(pod.lease.addresses[0].address.family() == AF_INET
                              ? "10.88.0.1"
                              : "fd88::1"));
    EXPECT_TRUE(seen.ok()) << seen.status();
  }

  static std::string Entry(const Lease& lease, int which,
                           const MacAddress& mac) {
    return absl::StrCat(lease.addresses[which].address.ToString(), " lladdr ",
                        FormatMac(mac));
  }

  // The node has to ask for her address again, as it would without us.
  void LetNodeAsk(const Pod& pod) {
    NetlinkSocket node = NetlinkSocket::Open(NETLINK_ROUTE).value();
    const int bridge = FindLink(node, "warren0").value()->index;
    ForgetNeighbours(node, bridge, {pod.lease.addresses[0].address});
    Flush(pod);
  }

  void Send(const Pod& pod, const std::string& frame) {
    const absl::Status status = SendFrame(pod.netns.get(), "eth0", frame);
    EXPECT_TRUE(status.ok()) << status;
  }

  // A UDP socket of the node on the gateway's address.
  base::UniqueFd Receiver() {
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
    return fd;
  }

  static std::string Receive(int fd) {
    char buffer[64];
    const ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
    return got < 0 ? strerror(errno) : std::string(buffer, got);
  }

  std::string Udp(const MacAddress& mac, const IpAddress& from,
                  absl::string_view payload) {
    return UdpFrame(mac, bridge_mac_, from, Address("10.88.0.1"), payload);
  }

  std::unique_ptr<BridgeNetwork> network_;
  Pod mallory_;
  Pod alice_;
  MacAddress bridge_mac_ = {};
};

TEST_F(NetworkSecurityTest, NET_1_NodeSideTakesNothingFromPods) {
  for (const bool dual : {false, true}) {
    Start(dual ? std::vector<const char*>{"10.88.0.0/16", "fd88::/64"}
               : std::vector<const char*>{"10.88.0.0/16"});
    const std::string veth = mallory_.attachment.host_ifname;
    for (const std::string& link : {std::string("warren0"), veth}) {
      const std::string v4 = absl::StrCat("net/ipv4/conf/", link, "/");
      const std::string v6 = absl::StrCat("net/ipv6/conf/", link, "/");
      EXPECT_EQ(ReadSysctl(v4 + "accept_redirects").value(), "0") << link;
      EXPECT_EQ(ReadSysctl(v4 + "rp_filter").value(), "1") << link;
      EXPECT_EQ(ReadSysctl(v4 + "proxy_arp").value(), "0") << link;
      EXPECT_EQ(ReadSysctl(v4 + "route_localnet").value(), "0") << link;
      EXPECT_EQ(ReadSysctl(v6 + "accept_ra").value(), "0") << link;
      EXPECT_EQ(ReadSysctl(v6 + "accept_redirects").value(), "0") << link;
    }
    EXPECT_EQ(ReadSysctl("net/ipv6/conf/warren0/disable_ipv6").value(),
              dual ? "0" : "1");
    EXPECT_EQ(ReadSysctl(absl::StrCat("net/ipv6/conf/", veth, "/disable_ipv6"))
                  .value(),
              "1");
    EXPECT_TRUE(network_->Clean().ok());
  }
}

TEST_F(NetworkSecurityTest, NET_1_Ipv6IsOffInPodsOfIpv4Alone) {
  Start({"10.88.0.0/16"});
  for (const char* link : {"all", "default", "lo", "eth0"}) {
    EXPECT_EQ(SysctlIn(mallory_.netns.get(),
                       absl::StrCat("net/ipv6/conf/", link, "/disable_ipv6")),
              "1");
  }
}

TEST_F(NetworkSecurityTest, PodsWithIpv6LearnNothingByThemselves) {
  Start({"10.88.0.0/16", "fd88::/64"});
  const std::vector<std::pair<const char*, const char*>> settings = {
      {"disable_ipv6", "0"}, {"accept_ra", "0"},     {"autoconf", "0"},
      {"accept_dad", "0"},   {"addr_gen_mode", "1"},
  };
  for (const auto& [key, value] : settings) {
    EXPECT_EQ(SysctlIn(mallory_.netns.get(),
                       absl::StrCat("net/ipv6/conf/eth0/", key)),
              value)
        << key;
  }
}

// The frames of this test do what they claim.
TEST_F(NetworkSecurityTest, RouterAdvertWorksOnAnUnprotectedLink) {
  const base::UniqueFd far = NewNetns();
  NetlinkSocket node = NetlinkSocket::Open(NETLINK_ROUTE).value();
  ASSERT_TRUE(
      node.Execute(
              CreateVeth({"victim0", 0, 0, 1500, "eth0", {0x0a, 7}, far.get()}))
          .ok());
  const std::string conf = "net/ipv6/conf/victim0/";
  ASSERT_TRUE(
      WriteSysctls({{conf + "accept_ra", "2"}, {conf + "accept_dad", "0"}})
          .ok());
  absl::StatusOr<NetlinkSocket> inside = absl::InternalError("");
  ASSERT_TRUE(InNetns(far.get(), [&] {
                inside = NetlinkSocket::Open(NETLINK_ROUTE);
                return inside.status();
              }).ok());
  const int eth0 = FindLink(*inside, "eth0").value()->index;
  ASSERT_TRUE(inside->Execute(netplugin::SetUp(eth0)).ok());
  const absl::Time limit = absl::Now() + test::Patience(absl::Seconds(20));
  bool learnt = false;
  while (!learnt && absl::Now() < limit) {
    ASSERT_TRUE(SendFrame(far.get(), "eth0",
                          RouterAdvertFrame({0x0a, 7}, Address("fe80::7")))
                    .ok());
    for (const std::string& line : NodeState()) {
      learnt = learnt || absl::StrContains(line, "2001:db8:bad:");
    }
  }
  EXPECT_TRUE(learnt);
}

TEST_F(NetworkSecurityTest, NET_1_RogueRouterAdvertChangesNothing) {
  Start({"10.88.0.0/16", "fd88::/64"});
  const std::string advert =
      RouterAdvertFrame(PodMac(mallory_.lease), Address("fe80::7"));
  const auto node_before = NodeState();
  auto node_bare = node_before;
  std::erase_if(node_bare, [](const std::string& line) {
    return absl::StartsWith(line, "port ") ||
           absl::StartsWith(line, "masquerade ");
  });
  const auto pod_before = network_->Inspect(alice_.netns.get())->routes.size();
  // With the packet rules, and with the settings of the links alone.
  for (const bool rules : {true, false}) {
    if (!rules) {
      ASSERT_TRUE(PodRules("warren").Remove().ok());
    }
    Send(mallory_, advert);
    Flush(mallory_);
    EXPECT_EQ(NodeState(), rules ? node_before : node_bare);
    EXPECT_EQ(network_->Inspect(alice_.netns.get())->routes.size(), pod_before);
  }
}

TEST_F(NetworkSecurityTest, NET_1_ArpOfOthersIsDropped) {
  Start({"10.88.0.0/16"});
  // Let the kernel take a new answer at once, in favour of the attack.
  ASSERT_TRUE(WriteSysctls({{"net/ipv4/neigh/warren0/locktime", "0"}}).ok());
  Flush(alice_);
  const MacAddress mine = PodMac(mallory_.lease);
  const MacAddress hers = PodMac(alice_.lease);
  const std::string honest = Entry(alice_.lease, 0, hers);
  ASSERT_THAT(Neighbours(node_.get()), Contains(honest));
  const IpAddress victim = alice_.lease.addresses[0].address;
  // Her address at my MAC; the same with her MAC on the frame.
  std::string disguised = ArpFrame(mine, victim);
  disguised.replace(6, 6, reinterpret_cast<const char*>(hers.data()), 6);
  for (const std::string& frame : {ArpFrame(mine, victim), disguised}) {
    Send(mallory_, frame);
    Flush(mallory_);
    EXPECT_THAT(Neighbours(node_.get()), Contains(honest));
  }
  ASSERT_TRUE(PodRules("warren").Remove().ok());
  LetNodeAsk(alice_);
  // An answer in the same tick as the honest one does not count.
  const std::string moved = Entry(alice_.lease, 0, mine);
  bool learnt = false;
  for (int i = 0; i < 100 && !learnt; ++i) {
    Send(mallory_, ArpFrame(mine, victim));
    Flush(mallory_);
    const auto known = Neighbours(node_.get());
    learnt = std::find(known.begin(), known.end(), moved) != known.end();
  }
  EXPECT_TRUE(learnt);
}

TEST_F(NetworkSecurityTest, NET_1_NeighbourAdvertsOfOthersAreDropped) {
  Start({"fd88::/64"});
  Flush(alice_);
  const MacAddress mine = PodMac(mallory_.lease);
  const std::string honest = Entry(alice_.lease, 0, PodMac(alice_.lease));
  ASSERT_THAT(Neighbours(node_.get()), Contains(honest));
  const std::string advert = NeighbourAdvertFrame(
      mine, mallory_.lease.addresses[0].address, Address("ff02::1"),
      alice_.lease.addresses[0].address);
  Send(mallory_, advert);
  Flush(mallory_);
  EXPECT_THAT(Neighbours(node_.get()), Contains(honest));
  ASSERT_TRUE(PodRules("warren").Remove().ok());
  LetNodeAsk(alice_);
  Send(mallory_, advert);
  Flush(mallory_);
  EXPECT_THAT(Neighbours(node_.get()), Contains(Entry(alice_.lease, 0, mine)));
}

TEST_F(NetworkSecurityTest, NET_1_SpoofedSourceIsDropped) {
  Start({"10.88.0.0/16"});
  const base::UniqueFd receiver = Receiver();
  const MacAddress mine = PodMac(mallory_.lease);
  const IpAddress own = mallory_.lease.addresses[0].address;
  const IpAddress hers = alice_.lease.addresses[0].address;
  Send(mallory_, Udp(mine, hers, "her address"));
  Send(mallory_, Udp(PodMac(alice_.lease), own, "her MAC"));
  Send(mallory_, Udp(PodMac(alice_.lease), hers, "all of her"));
  Send(mallory_, Udp(mine, own, "honest"));
  EXPECT_EQ(Receive(receiver.get()), "honest");
  ASSERT_TRUE(PodRules("warren").Remove().ok());
  Send(mallory_, Udp(mine, hers, "her address"));
  EXPECT_EQ(Receive(receiver.get()), "her address");
}

TEST_F(NetworkSecurityTest, NET_1_OnlyIpAndArpPass) {
  Start({"10.88.0.0/16"});
  const base::UniqueFd listener =
      SocketIn(alice_.netns.get(), AF_PACKET, SOCK_RAW, htons(0x88b5)).value();
  // An experimental protocol (IEEE 802), from the right MAC.
  std::string frame = Udp(PodMac(mallory_.lease), Address("10.88.0.2"), "x");
  const MacAddress hers = PodMac(alice_.lease);
  frame.replace(0, 6, reinterpret_cast<const char*>(hers.data()), 6);
  frame.replace(12, 2, "\x88\xb5", 2);
  Send(mallory_, frame);
  Flush(mallory_);
  char byte;
  EXPECT_EQ(recv(listener.get(), &byte, 1, MSG_DONTWAIT), -1);
  ASSERT_TRUE(PodRules("warren").Remove().ok());
  Send(mallory_, frame);
  Flush(mallory_);
  EXPECT_EQ(recv(listener.get(), &byte, 1, MSG_DONTWAIT), 1);
}

TEST_F(NetworkSecurityTest, TornDownPodIsCutOffAtOnce) {
  BridgeNetworkOptions options;
  options.ranges = {Prefix("10.88.0.0/16")};
  options.link_grace = absl::Hours(1);
  network_ = BridgeNetwork::Create(options).value();
  ASSERT_TRUE(network_->Init().ok());
  mallory_ = StartPod(*network_, "mallory");
  alice_ = StartPod(*network_, "alice");
  NetlinkSocket socket = NetlinkSocket::Open(NETLINK_ROUTE).value();
  bridge_mac_ = FindLink(socket, "warren0").value()->mac;
  Flush(mallory_);
  Flush(alice_);
  const base::UniqueFd receiver = Receiver();
  const std::string frame =
      Udp(PodMac(mallory_.lease), mallory_.lease.addresses[0].address, "mine");
  Send(mallory_, frame);
  EXPECT_EQ(Receive(receiver.get()), "mine");
  ASSERT_TRUE(network_->Detach(mallory_.state, kForever).ok());
  EXPECT_EQ(CountPodLinks(), 2);
  Send(mallory_, frame);
  Send(alice_,
       Udp(PodMac(alice_.lease), alice_.lease.addresses[0].address, "hers"));
  EXPECT_EQ(Receive(receiver.get()), "hers");
  // Not even with the rules gone: the port itself is shut.
  ASSERT_TRUE(PodRules("warren").Remove().ok());
  Send(mallory_, frame);
  Send(alice_,
       Udp(PodMac(alice_.lease), alice_.lease.addresses[0].address, "again"));
  EXPECT_EQ(Receive(receiver.get()), "again");
}

}  // namespace
}  // namespace warren::netplugin
