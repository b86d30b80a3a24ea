#include "netplugin/bridge/wiring.h"

#include <absl/container/flat_hash_map.h>
#include <linux/ip.h>

#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "netplugin/bridge/link_reaper.h"
#include "netplugin/netlink/address.h"
#include "netplugin/netlink/neighbour.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/netlink/netns.h"
#include "netplugin/netlink/route.h"
#include "netplugin/netlink/sysctl.h"
#include "runtime/base/status.h"
#include "runtime/base/undo_stack.h"
#include "runtime/base/unique_fd.h"

namespace warren::netplugin {
namespace {

constexpr int kLoopbackIndex = 1;  // LOOPBACK_IFINDEX of every namespace

// A socket for the pod's namespace, which is prepared on the way: it takes one
// visit. Refuses the node's own namespace, whose settings would be changed.
absl::StatusOr<NetlinkSocket> OpenInPod(const WiringPlan& plan, int netns_fd) {
  ASSIGN_OR_RETURN(const base::UniqueFd own, OpenOwnNetns());
  ASSIGN_OR_RETURN(const bool same, IsSameNetns(own.get(), netns_fd));
  if (same) {
    return absl::InvalidArgumentError(
        "the network namespace is the node's own");
  }
  std::optional<NetlinkSocket> socket;
  RETURN_IF_ERROR(InNetns(netns_fd, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(NetlinkSocket opened, NetlinkSocket::Open(NETLINK_ROUTE));
    socket.emplace(std::move(opened));
    return WriteSysctls(plan.pod_sysctls);
  }));
  return std::move(*socket);
}

// Creates the veth, over one of the same sandbox that a crash may have left.
absl::Status CreateOver(NetlinkSocket& socket, const VethSpec& spec,
                        const std::string& alias) {
  const absl::Status status = socket.Execute(CreateVeth(spec));
  if (base::GetErrno(status) != EEXIST) return status;
  ASSIGN_OR_RETURN(const std::optional<Link> old, FindLink(socket, spec.name));
  if (!old || !IsVethOf(*old, alias)) return status;
  RETURN_IF_ERROR(DeleteLinks(socket, {old->index}));
  return socket.Execute(CreateVeth(spec));
}

// Indexes of the two ends.
struct Veth {
  int host = 0;
  int pod = 0;
};

absl::StatusOr<Veth> FindEnds(NetlinkSocket& host, NetlinkSocket& pod,
                              const VethSpec& spec) {
  ASSIGN_OR_RETURN(const std::optional<Link> near, FindLink(host, spec.name));
  ASSIGN_OR_RETURN(const std::optional<Link> far,
                   FindLink(pod, spec.peer_name));
  if (!near || !far) return absl::InternalError("the new veth is gone");
  return Veth{near->index, far->index};
}

// The kernel takes a link whose peer has the same index, though in another
// namespace, for one without a peer, and tells the bridge of its carrier up to
// a second late (linkwatch_urgent_event). The ends get different indexes.
absl::StatusOr<Veth> MakeVeth(NetlinkSocket& host, NetlinkSocket& pod,
                              VethSpec spec, const std::string& alias) {
  RETURN_IF_ERROR(CreateOver(host, spec, alias));
  ASSIGN_OR_RETURN(Veth ends, FindEnds(host, pod, spec));
  if (ends.host != ends.pod) return ends;
  RETURN_IF_ERROR(DeleteLinks(host, {ends.host}));
  constexpr int kFarAway = 1 << 16;
  spec.index = ends.host + kFarAway;
  spec.peer_index = ends.pod;
  RETURN_IF_ERROR(CreateOver(host, spec, alias));
  return FindEnds(host, pod, spec);
}

// The veth end in the node: recognisable, and deaf to all IP of its own; only
// the bridge takes packets from it. Done while the pod's end is still down, so
// before there is a carrier.
absl::Status FinishHostEnd(NetlinkSocket& socket, int bridge, int link,
                           const WiringPlan& plan) {
  std::vector<Request> batch;
  batch.push_back(SetAlias(link, plan.alias));
  for (Request& request : GuardPort(bridge, link, plan.port)) {
    batch.push_back(std::move(request));
  }
  batch.push_back(SetIpv4Conf(link, {{IPV4_DEVCONF_ACCEPT_REDIRECTS, 0},
                                     {IPV4_DEVCONF_RP_FILTER, 1},
                                     {IPV4_DEVCONF_PROXY_ARP, 0},
                                     {IPV4_DEVCONF_ROUTE_LOCALNET, 0}}));
  RETURN_IF_ERROR(socket.Execute(std::move(batch)));
  return WriteSysctls(plan.host_sysctls);
}

// All that happens inside the pod, in one system call. The gateway is its only
// neighbour, and one that it never asks for: each neighbour is an entry of a
// table that all network namespaces share (NET-7).
absl::Status WirePodEnd(NetlinkSocket& socket, int eth0, const WiringPlan& plan,
                        const MacAddress& gateway_mac) {
  std::vector<Request> batch;
  batch.push_back(SetUp(kLoopbackIndex));
  for (const IpPrefix& address : plan.addresses) {
    batch.push_back(AddAddressAlone(eth0, address));
  }
  batch.push_back(SetUp(eth0));
  for (const IpAddress& gateway : plan.gateways) {
    batch.push_back(AddPermanentNeighbour(eth0, gateway, gateway_mac));
    batch.push_back(AskForNoNeighbours(eth0, gateway.family()));
    batch.push_back(AddDefaultRouteOnLink(eth0, gateway));
  }
  return socket.Execute(std::move(batch));
}

absl::Status DeleteOurs(NetlinkSocket& socket, const WiringPlan& plan) {
  ASSIGN_OR_RETURN(const std::optional<Link> link,
                   FindLink(socket, plan.port.host_ifname));
  if (!link || !IsVethOf(*link, plan.alias)) return absl::OkStatus();
  return DeleteLinks(socket, {link->index});
}

}  // namespace

bool IsVethOf(const Link& link, const std::string& alias) {
  return SandboxOfLink(link).has_value() &&
         (link.alias.empty() || link.alias == alias);
}

void ForgetNeighbours(NetlinkSocket& socket, int bridge,
                      const std::vector<IpAddress>& addresses) {
  for (const IpAddress& address : addresses) {
    // Gone with the bridge, or never made.
    socket.Execute(DeleteNeighbour(bridge, address)).IgnoreError();
  }
}

std::vector<Request> GuardPort(int bridge, int link, const PodPort& port) {
  std::vector<Request> requests;
  requests.push_back(AddStaticForwarding(link, port.mac));
  requests.push_back(MakePortForgetful(link));
  for (const IpAddress& address : port.addresses) {
    requests.push_back(AddPermanentNeighbour(bridge, address, port.mac));
  }
  return requests;
}

absl::Status GuardPorts(NetlinkSocket& socket, int bridge,
                        const std::vector<PodPort>& ports) {
  absl::flat_hash_map<std::string, PodPort> known;
  for (const PodPort& port : ports) {
    PodPort& one = known[port.host_ifname];
    one.mac = port.mac;
    one.addresses.insert(one.addresses.end(), port.addresses.begin(),
                         port.addresses.end());
  }
  ASSIGN_OR_RETURN(const std::vector<Link> links, ListLinks(socket));
  for (const Link& link : links) {
    if (link.master != bridge || !SandboxOfLink(link)) continue;
    const auto port = known.find(link.name);
    const absl::Status status =
        port == known.end()
            ? socket.Execute(MakePortForgetful(link.index))
            : socket.Execute(GuardPort(bridge, link.index, port->second));
    // One that goes meanwhile needs no guard.
    if (status.ok() || IsNoSuchLink(status)) continue;
    ASSIGN_OR_RETURN(const std::optional<Link> now,
                     FindLink(socket, link.index));
    if (now && now->master == bridge) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Link>> ListVeths(NetlinkSocket& socket,
                                            const std::string& bridge) {
  ASSIGN_OR_RETURN(std::vector<Link> links, ListLinks(socket));
  int bridge_index = -1;
  for (const Link& link : links) {
    if (link.name == bridge) bridge_index = link.index;
  }
  const uint32_t group = LinkGroupOf(bridge);
  std::erase_if(links, [&](const Link& link) {
    const bool here = link.master == bridge_index ||
                      (link.master == 0 && link.group == group);
    return !here || !SandboxOfLink(link);
  });
  return links;
}

absl::Status WirePod(const WiringPlan& plan, const PodBridge& bridge,
                     int netns_fd, PodRules& rules) {
  ASSIGN_OR_RETURN(NetlinkSocket pod, OpenInPod(plan, netns_fd));
  ASSIGN_OR_RETURN(NetlinkSocket host, NetlinkSocket::Open(NETLINK_ROUTE));
  base::UndoStack undo;
  RETURN_IF_ERROR(rules.AddPod(plan.port));
  undo.Push("removing the port rule",
            [&] { return rules.RemovePod(plan.port); });
  const VethSpec spec{
      plan.port.host_ifname, bridge.group, bridge.index, plan.mtu, kPodIfname,
      plan.port.mac,         netns_fd};
  // Before the act: it may fail half way.
  undo.Push("deleting the veth", [&] {
    ForgetNeighbours(host, bridge.index, plan.port.addresses);
    return DeleteOurs(host, plan);
  });
  ASSIGN_OR_RETURN(const Veth veth, MakeVeth(host, pod, spec, plan.alias));
  RETURN_IF_ERROR(FinishHostEnd(host, bridge.index, veth.host, plan));
  RETURN_IF_ERROR(WirePodEnd(pod, veth.pod, plan, bridge.mac));
  undo.Release();
  return absl::OkStatus();
}

}  // namespace warren::netplugin
