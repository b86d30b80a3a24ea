#include "tests/kernel/netplugin_node.h"

#include <absl/strings/str_cat.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>
// After netinet/in.h, whose types it redefines otherwise.
#include <linux/netfilter.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "netplugin/bridge/plan.h"
#include "netplugin/netlink/address.h"
#include "netplugin/netlink/inspect.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/netlink/netns.h"
#include "netplugin/netlink/route.h"
#include "netplugin/nft/batch.h"
#include "netplugin/nft/rules.h"

namespace warren::netplugin {
namespace {

constexpr int kUplinkMtu = 1400;

NetlinkSocket OpenIn(int netns_fd) {
  absl::StatusOr<NetlinkSocket> socket = absl::InternalError("not opened");
  const absl::Status status = InNetns(netns_fd, [&] {
    socket = NetlinkSocket::Open(NETLINK_ROUTE);
    return socket.status();
  });
  if (!status.ok()) ADD_FAILURE() << status;
  return *std::move(socket);
}

// Where the intervals of a set of ranges begin and end.
std::vector<IpAddress> EdgesOf(const std::string& set) {
  NetlinkSocket socket = NetlinkSocket::Open(NETLINK_NETFILTER).value();
  std::vector<std::string> keys;
  // Fails where the table is missing: no ranges.
  ListElements(socket, NFPROTO_INET, "warren", set, &keys).IgnoreError();
  std::vector<IpAddress> edges;
  for (const std::string& key : keys) {
    const int family = key.size() == 4 ? AF_INET : AF_INET6;
    edges.push_back(IpAddress::FromBytes(family, key.data()));
  }
  return edges;
}

void Must(const absl::Status& status) { ASSERT_TRUE(status.ok()) << status; }

void MakeUplink(int node, int outside) {
  NetlinkSocket near = OpenIn(node);
  NetlinkSocket far = OpenIn(outside);
  // So that the ends differ in index: the kernel reports the carrier of a pair
  // of the same index up to a second late (linkwatch_urgent_event).
  Must(far.Execute(CreateBridge({"lan0", 0, {0x0a, 1}})));
  Must(near.Execute(CreateVeth(
      {"up0", 0, 0, kUplinkMtu, "far0", {0x0a, 0, 0, 0, 0, 1}, outside})));
  const int up0 = FindLink(near, "up0").value()->index;
  const int far0 = FindLink(far, "far0").value()->index;
  Must(near.Execute(AddAddress(up0, Prefix("192.0.2.1/24"))));
  Must(near.Execute(AddAddress(up0, Prefix("2001:db8::1/64"))));
  Must(far.Execute(AddAddress(far0, Prefix("192.0.2.2/24"))));
  Must(far.Execute(AddAddress(far0, Prefix("2001:db8::2/64"))));
  Must(far.Execute(SetUp(far0)));
  Must(near.Execute(AddDefaultRoute(up0, Address("192.0.2.2"))));
  Must(near.Execute(AddDefaultRoute(up0, Address("2001:db8::2"))));
}

}  // namespace

base::UniqueFd NewNetns() {
  const base::UniqueFd home = OpenOwnNetns().value();
  if (unshare(CLONE_NEWNET) != 0) return base::UniqueFd();
  base::UniqueFd made = OpenOwnNetns().value();
  if (setns(home.get(), CLONE_NEWNET) != 0) std::abort();
  return made;
}

void NodeTest::SetUp() {
  home_ = OpenOwnNetns().value();
  if (unshare(CLONE_NEWNET) != 0) {
    GTEST_SKIP() << "no network namespace of its own: " << strerror(errno);
  }
  node_ = OpenOwnNetns().value();
  NetlinkSocket socket = OpenIn(node_.get());
  Must(socket.Execute(netplugin::SetUp(1)));
  outside_ = NewNetns();
  ASSERT_TRUE(outside_.valid());
  MakeUplink(node_.get(), outside_.get());
}

void NodeTest::TearDown() {
  if (setns(home_.get(), CLONE_NEWNET) != 0) std::abort();
}

std::unique_ptr<BridgeNetwork> NodeTest::MakeNetwork(
    const std::vector<const char*>& ranges) {
  BridgeNetworkOptions options;
  for (const char* range : ranges) options.ranges.push_back(Prefix(range));
  auto network = BridgeNetwork::Create(std::move(options));
  EXPECT_TRUE(network.ok()) << network.status();
  const absl::Status status = (*network)->Init();
  EXPECT_TRUE(status.ok()) << status;
  return *std::move(network);
}

Pod NodeTest::StartPod(BridgeNetwork& network, const std::string& id) {
  Pod pod;
  const auto prepared = network.Prepare(RequestFor(id), kForever);
  EXPECT_TRUE(prepared.ok()) << prepared.status();
  if (!prepared.ok()) return pod;
  pod.state = *prepared;
  pod.lease = {id, prepared->addresses};
  pod.netns = NewNetns();
  const auto attachment = network.Attach(pod.state, pod.netns.get(), kForever);
  EXPECT_TRUE(attachment.ok()) << attachment.status();
  if (attachment.ok()) {
    pod.attachment = *attachment;
    pod.state = attachment->state;
  }
  return pod;
}

std::vector<std::string> NodeTest::NodeState() {
  std::vector<std::string> lines;
  const base::UniqueFd own = OpenOwnNetns().value();
  const auto view = InspectNetns(own.get());
  EXPECT_TRUE(view.ok()) << view.status();
  for (const LinkView& link : view->links) {
    lines.push_back(absl::StrCat("link ", link.name, " ", link.mtu));
    for (const std::string& address : link.addresses) {
      // The uplink's link-local address appears by itself.
      if (absl::string_view(address).substr(0, 4) == "fe80") continue;
      lines.push_back(absl::StrCat("address ", link.name, " ", address));
    }
  }
  for (const RouteView& route : view->routes) {
    if (absl::string_view(route.destination).substr(0, 4) == "fe80") continue;
    lines.push_back(absl::StrCat("route ", route.destination, " ",
                                 route.gateway, " ", route.device));
  }
  PodRules rules("warren");
  const auto pods = rules.Pods();
  EXPECT_TRUE(pods.ok()) << pods.status();
  for (const std::string& name : *pods) {
    lines.push_back(absl::StrCat("port ", name));
  }
  for (const char* set : {"ranges4", "ranges6"}) {
    for (const IpAddress& edge : EdgesOf(set)) {
      lines.push_back(absl::StrCat("masquerade ", edge.ToString()));
    }
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

int NodeTest::CountPodLinks() {
  NetlinkSocket socket = NetlinkSocket::Open(NETLINK_ROUTE).value();
  const auto links = ListLinks(socket).value();
  return std::count_if(links.begin(), links.end(), [](const Link& link) {
    return SandboxOfLink(link).has_value();
  });
}

}  // namespace warren::netplugin
