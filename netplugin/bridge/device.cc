#include "netplugin/bridge/device.h"

#include <absl/strings/str_cat.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "netplugin/bridge/forwarding.h"
#include "netplugin/bridge/instance.h"
#include "netplugin/bridge/plan.h"
#include "netplugin/netlink/address.h"
#include "netplugin/netlink/route.h"
#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

absl::Status NotOurs(const std::string& name) {
  return absl::FailedPreconditionError(absl::StrCat(
      "link ", name, " exists and is not Warren's; choose another bridge"));
}

absl::StatusOr<Link> CreateOurBridge(NetlinkSocket& socket,
                                     const std::string& name) {
  RETURN_IF_ERROR(
      socket.Execute(CreateBridge({name, LinkGroupOf(name), BridgeMac(name)})));
  ASSIGN_OR_RETURN(const std::optional<Link> link, FindLink(socket, name));
  if (!link) return absl::InternalError("the new bridge is gone");
  return *link;
}

// The addresses of the bridge: of two that differ in length only the shorter.
std::vector<IpPrefix> Gateways(const std::vector<IpPrefix>& ranges) {
  std::vector<IpPrefix> gateways;
  for (const IpPrefix& range : ranges) {
    const IpPrefix gateway = GatewayOf(range);
    const auto same = std::find_if(
        gateways.begin(), gateways.end(),
        [&](const IpPrefix& g) { return g.address == gateway.address; });
    if (same == gateways.end()) {
      gateways.push_back(gateway);
    } else {
      same->length = std::min(same->length, gateway.length);
    }
  }
  return gateways;
}

absl::Status SyncAddresses(NetlinkSocket& socket, int bridge,
                           const std::vector<IpPrefix>& ranges) {
  std::vector<IpPrefix> missing = Gateways(ranges);
  ASSIGN_OR_RETURN(const auto present, ListAddresses(socket));
  std::vector<IpPrefix> surplus;
  for (const LinkAddress& address : present) {
    if (address.link != bridge) continue;
    if (std::erase(missing, address.prefix) == 0) {
      surplus.push_back(address.prefix);
    }
  }
  std::vector<Request> changes;
  // A link has an IPv6 address once, whatever its length. For IPv4 the new one
  // comes first, so that there is always one.
  std::erase_if(surplus, [&](const IpPrefix& old) {
    const bool in_the_way =
        old.address.family() == AF_INET6 &&
        std::any_of(missing.begin(), missing.end(), [&](const IpPrefix& next) {
          return next.address == old.address;
        });
    if (in_the_way) changes.push_back(DeleteAddress(bridge, old));
    return in_the_way;
  });
  for (const IpPrefix& gateway : missing) {
    changes.push_back(AddAddress(bridge, gateway));
  }
  for (const IpPrefix& old : surplus) {
    changes.push_back(DeleteAddress(bridge, old));
  }
  return socket.Execute(std::move(changes));
}

// Veths whose bridge somebody deleted.
absl::Status AttachLoosePorts(NetlinkSocket& socket, const Link& bridge) {
  ASSIGN_OR_RETURN(const auto links, ListLinks(socket));
  for (const Link& link : links) {
    const bool loose = link.master == 0 &&
                       link.group == LinkGroupOf(bridge.name) &&
                       SandboxOfLink(link).has_value();
    if (!loose) continue;
    const absl::Status status =
        socket.Execute(SetMaster(link.index, bridge.index));
    if (!IsNoSuchLink(status)) RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

// The settings that forwarding needs, in the order of writing.
absl::StatusOr<std::vector<Sysctl>> ForwardingSettings(
    NetlinkSocket& socket, const std::vector<IpPrefix>& ranges) {
  std::vector<Sysctl> wanted;
  if (HasFamily(ranges, AF_INET)) wanted.push_back({kForwarding4, "1"});
  if (!HasFamily(ranges, AF_INET6)) return wanted;
  ASSIGN_OR_RETURN(const auto links, ListLinks(socket));
  ASSIGN_OR_RETURN(const auto routes, ListRoutes(socket));
  for (const Link& link : links) {
    const bool learns =
        std::any_of(routes.begin(), routes.end(), [&](const Route& route) {
          return route.link == link.index && route.protocol == RTPROT_RA;
        });
    if (!learns || !IsValidIfname(link.name)) continue;
    const std::string path =
        absl::StrCat("net/ipv6/conf/", link.name, "/accept_ra");
    ASSIGN_OR_RETURN(const std::string value, ReadSysctl(path));
    if (value == "1") wanted.push_back({path, "2"});
  }
  wanted.push_back({kForwarding6, "1"});
  return wanted;
}

}  // namespace

bool HasFamily(const std::vector<IpPrefix>& ranges, int family) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const IpPrefix& r) {
    return r.address.family() == family;
  });
}

absl::StatusOr<int> UplinkMtu(NetlinkSocket& socket) {
  ASSIGN_OR_RETURN(const auto routes, ListRoutes(socket));
  std::optional<Route> best;
  const auto rank = [](const Route& route) {
    return std::pair(route.destination.address.family() != AF_INET,
                     route.metric);
  };
  for (const Route& route : routes) {
    if (route.destination.length != 0 || route.table != RT_TABLE_MAIN ||
        route.type != RTN_UNICAST || route.link == 0) {
      continue;
    }
    if (!best || rank(route) < rank(*best)) best = route;
  }
  if (!best) return kDefaultMtu;
  ASSIGN_OR_RETURN(const std::optional<Link> link,
                   FindLink(socket, best->link));
  return link ? link->mtu : kDefaultMtu;
}

absl::StatusOr<Link> EnsureBridge(NetlinkSocket& socket,
                                  const BridgeSetup& setup) {
  const std::string& name = setup.name;
  ASSIGN_OR_RETURN(std::optional<Link> bridge, FindLink(socket, name));
  if (bridge && !IsOurBridge(*bridge, name)) return NotOurs(name);
  if (!bridge) {
    ASSIGN_OR_RETURN(bridge, CreateOurBridge(socket, name));
  }
  BridgeAlias alias = DecodeBridgeAlias(bridge->alias).value_or(BridgeAlias());
  alias.table = setup.table;
  if (EncodeBridgeAlias(alias) != bridge->alias) {
    bridge->alias = EncodeBridgeAlias(alias);
    RETURN_IF_ERROR(socket.Execute(SetAlias(bridge->index, bridge->alias)));
  }
  RETURN_IF_ERROR(
      WriteSysctls(BridgeSysctls(name, HasFamily(setup.ranges, AF_INET6))));
  if (bridge->mtu != setup.mtu) {
    RETURN_IF_ERROR(socket.Execute(SetMtu(bridge->index, setup.mtu)));
  }
  // So that the filter sees them; pods send no such frames.
  RETURN_IF_ERROR(socket.Execute(ForwardLinkLocal(bridge->index)));
  RETURN_IF_ERROR(SyncAddresses(socket, bridge->index, setup.ranges));
  RETURN_IF_ERROR(socket.Execute(SetUp(bridge->index)));
  if (bridge->mac != BridgeMac(name)) {  // random, of an older agent
    RETURN_IF_ERROR(socket.Execute(SetMac(bridge->index, BridgeMac(name))));
  }
  RETURN_IF_ERROR(AttachLoosePorts(socket, *bridge));
  return *bridge;
}

absl::StatusOr<std::vector<Sysctl>> EnsureForwarding(
    NetlinkSocket& socket, const Link& bridge,
    const std::vector<IpPrefix>& ranges,
    const std::vector<Sysctl>& remembered) {
  BridgeAlias known = DecodeBridgeAlias(bridge.alias).value_or(BridgeAlias());
  for (const Sysctl& old : remembered) RememberOnce(old, &known.saved);
  ASSIGN_OR_RETURN(const auto wanted, ForwardingSettings(socket, ranges));
  std::vector<Sysctl> changes;
  for (const Sysctl& setting : wanted) {
    ASSIGN_OR_RETURN(const std::string now, ReadSysctl(setting.path));
    if (now == setting.value) continue;
    changes.push_back(setting);
    RememberOnce({setting.path, now}, &known.saved);
  }
  const std::string alias = EncodeBridgeAlias(known);
  if (alias != bridge.alias) {
    RETURN_IF_ERROR(socket.Execute(SetAlias(bridge.index, alias)));
  }
  RETURN_IF_ERROR(WriteSysctls(changes));
  return known.saved;
}

absl::StatusOr<std::vector<Sysctl>> RemoveBridge(NetlinkSocket& socket,
                                                 const std::string& name) {
  ASSIGN_OR_RETURN(const std::optional<Link> bridge, FindLink(socket, name));
  if (!bridge || !IsOurBridge(*bridge, name)) return std::vector<Sysctl>();
  const absl::Status status = socket.Execute(DeleteLink(bridge->index));
  if (!IsNoSuchLink(status)) RETURN_IF_ERROR(status);
  return DecodeBridgeAlias(bridge->alias).value_or(BridgeAlias()).saved;
}

}  // namespace warren::netplugin
