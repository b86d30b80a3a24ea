#ifndef WARREN_TESTS_KERNEL_NETPLUGIN_TABLES_H_
#define WARREN_TESTS_KERNEL_NETPLUGIN_TABLES_H_

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
#include "tests/kernel/netplugin_traffic.h"

// Two pods, one of which attacks the tables that all pods share.
namespace warren::netplugin {

class SharedTablesTest : public NodeTest {
 protected:
  // What a pod may add to the neighbour tables, both families together.
  static constexpr int kBound = 8;
  // Room for others who use them during the test.
  static constexpr int kNoise = 100;

  void Start() {
    network_ = MakeNetwork({"10.88.0.0/16", "fd88::/64"});
    mallory_ = StartPod(*network_, "mallory");
    alice_ = StartPod(*network_, "alice");
  }

  static NetlinkSocket SocketOf(int netns) {
    absl::StatusOr<NetlinkSocket> socket = absl::InternalError("");
    EXPECT_TRUE(InNetns(netns, [&] {
                  socket = NetlinkSocket::Open(NETLINK_ROUTE);
                  return socket.status();
                }).ok());
    return *std::move(socket);
  }

  int Port(const Pod& pod) {
    NetlinkSocket node = SocketOf(node_.get());
    return FindLink(node, pod.attachment.host_ifname).value()->index;
  }

  // As the bridge is without us.
  void LetLearn(const Pod& pod) {
    ifinfomsg header = {};
    header.ifi_family = AF_BRIDGE;
    header.ifi_index = Port(pod);
    Request request("learning", RTM_SETLINK, 0, header);
    request.Nest(IFLA_PROTINFO | NLA_F_NESTED, [&] {
      request.U8(IFLA_BRPORT_LEARNING, 1);
      request.U8(IFLA_BRPORT_UNICAST_FLOOD, 1);
    });
    NetlinkSocket node = SocketOf(node_.get());
    ASSERT_TRUE(node.Execute(std::move(request)).ok());
  }

  void Forget(const Pod& pod) {
    ndmsg header = {};
    header.ndm_family = AF_BRIDGE;
    header.ndm_ifindex = Port(pod);
    header.ndm_flags = NTF_MASTER;
    Request request("forgetting", RTM_DELNEIGH, 0, header);
    const MacAddress mac = PodMac(pod.lease);
    request.Bytes(NDA_LLADDR, mac.data(), mac.size());
    NetlinkSocket node = SocketOf(node_.get());
    ASSERT_TRUE(node.Execute(std::move(request)).ok());
  }

  void Send(const Pod& pod, const std::string& frame) {
    const absl::Status status = SendFrame(pod.netns.get(), "eth0", frame);
    EXPECT_TRUE(status.ok()) << status;
  }

  // Frames from `source` to all that a bridge treats in its own way, and to
  // everybody.
  void SendOddFrames(const Pod& pod, const MacAddress& source) {
    for (int last = 0; last <= 0x10; ++last) {
      const MacAddress to =
          last == 0x10
              ? MacAddress{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
              : MacAddress{0x01, 0x80, 0xc2, 0, 0, static_cast<uint8_t>(last)};
      // A spanning tree's BPDU, LLDP, slow protocols, pause, and IPv4 behind
      // one and two VLAN tags.
      Send(pod, AnyFrame(source, to, 38, "\x42\x42\x03"));
      Send(pod, AnyFrame(source, to, 0x88cc, "\x02\x07\x04"));
      Send(pod, AnyFrame(source, to, 0x8809, "\x01\x01"));
      Send(pod, AnyFrame(source, to, 0x8808, "x"));
      Send(pod, AnyFrame(source, to, ETH_P_8021Q,
                         absl::string_view("\x00\x07\x08\x00\x45", 5)));
      Send(pod, AnyFrame(source, to, ETH_P_8021AD,
                         absl::string_view("\x00\x07\x81\x00\x00\x07\x08", 7)));
    }
  }

  void Flush(const Pod& pod) {
    const auto seen =
        TalkTcp(pod.netns.get(), node_.get(), Address("10.88.0.1"));
    EXPECT_TRUE(seen.ok()) << seen.status();
  }

  // Entries that this test's namespaces have in the neighbour tables, both
  // families together.
  int OwnEntries() {
    int sum = 0;
    for (const int netns :
         {node_.get(), mallory_.netns.get(), alice_.netns.get()}) {
      NetlinkSocket socket = SocketOf(netns);
      int entries = 0;
      const absl::Status status = socket.Query(
          Request("counting neighbours", RTM_GETNEIGH, NLM_F_DUMP, ndmsg{}),
          [&](const nlmsghdr* message) {
            if (message->nlmsg_type == RTM_NEWNEIGH) ++entries;
          },
          [&] { entries = 0; });
      EXPECT_TRUE(status.ok()) << status;
      sum += entries;
    }
    return sum;
  }

  // Entries of all namespaces, which the kernel tells in the first one only; 0
  // where that is not to be seen.
  static int AllEntries() {
    int sum = 0;
    for (const char* table : {"arp", "ndisc"}) {
      const auto text = base::ReadFileAt(
          AT_FDCWD, absl::StrCat("/proc/1/net/stat/", table, "_cache"));
      if (!text.ok()) return 0;
      const std::vector<std::string> lines = absl::StrSplit(*text, '\n');
      const std::vector<std::string> columns =
          absl::StrSplit(lines[1], ' ', absl::SkipEmpty());
      uint32_t entries = 0;
      EXPECT_TRUE(absl::SimpleHexAtoi(columns[0], &entries)) << lines[1];
      sum += static_cast<int>(entries);
    }
    return sum;
  }

  // A datagram to each of `count` addresses of the range that no pod has.
  static void SendToUnused(int netns, int count, int flags) {
    for (const char* first : {"10.88.64.1", "fd88::6:1"}) {
      const IpAddress start = Address(first);
      const auto fd = SocketIn(netns, start.family(), SOCK_DGRAM, 0).value();
      if (flags != 0) {
        ASSERT_EQ(setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, "eth0", 5),
                  0);
      }
      for (int i = 0; i < count; ++i) {
        const IpAddress to = start.Plus(i);
        sockaddr_storage storage = {};
        socklen_t size = 0;
        if (start.family() == AF_INET) {
          auto* in = reinterpret_cast<sockaddr_in*>(&storage);
          *in = {AF_INET, htons(9), {}, {}};
          memcpy(&in->sin_addr, to.data(), 4);
          size = sizeof(*in);
        } else {
          auto* in = reinterpret_cast<sockaddr_in6*>(&storage);
          in->sin6_family = AF_INET6;
          in->sin6_port = htons(9);
          memcpy(&in->sin6_addr, to.data(), 16);
          size = sizeof(*in);
        }
        // Refusals come back as errors of later calls; they do not matter.
        (void)sendto(fd.get(), "x", 1, flags,
                     reinterpret_cast<sockaddr*>(&storage), size);
      }
    }
  }

  std::unique_ptr<BridgeNetwork> network_;
  Pod mallory_;
  Pod alice_;
};

}  // namespace warren::netplugin

#endif  // WARREN_TESTS_KERNEL_NETPLUGIN_TABLES_H_
