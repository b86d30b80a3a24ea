#include "netplugin/bridge/device.h"

#include <absl/strings/str_cat.h>
#include <linux/rtnetlink.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "netplugin/bridge/plan.h"
#include "netplugin/netlink/address.h"
#include "netplugin/netlink/route.h"
#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

bool HasFamily(const std::vector<IpPrefix>& ranges, int family) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const IpPrefix& r) {
    return r.address.family() == family;
  });
}

bool IsOurBridge(const Link& link) {
  return link.kind == "bridge" && link.group == kLinkGroup;
}

absl::Status NotOurs(const std::string& name) {
  return absl::FailedPreconditionError(absl::StrCat(
      "link ", name, " exists and is not Warren's; choose another bridge"));
}

absl::StatusOr<Link> CreateOurBridge(NetlinkSocket& socket,
                                     const std::string& name) {
  BridgeSpec spec{name, kLinkGroup, {}};
  if (getrandom(spec.mac.data(), spec.mac.size(), 0) !=
      static_cast<ssize_t>(spec.mac.size())) {
    return base::ErrnoError(errno, "getrandom");
  }
  spec.mac[0] = 0x0a;  // locally administered, unicast
  RETURN_IF_ERROR(socket.Execute(CreateBridge(spec)));
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
absl::Status AttachLoosePorts(NetlinkSocket& socket, int bridge) {
  ASSIGN_OR_RETURN(const auto links, ListLinks(socket));
  for (const Link& link : links) {
    if (link.master != 0 || !SandboxOfLink(link)) continue;
    const absl::Status status = socket.Execute(SetMaster(link.index, bridge));
    if (!IsNoSuchLink(status)) RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

void RememberOnce(const Sysctl& old, std::vector<Sysctl>* saved) {
  const bool known =
      std::any_of(saved->begin(), saved->end(),
                  [&](const Sysctl& other) { return other.path == old.path; });
  if (!known) saved->push_back(old);
}

// The settings that forwarding needs, in the order of writing.
absl::StatusOr<std::vector<Sysctl>> ForwardingSettings(
    NetlinkSocket& socket, const std::vector<IpPrefix>& ranges) {
  std::vector<Sysctl> wanted;
  if (HasFamily(ranges, AF_INET))
    wanted.push_back({"net/ipv4/ip_forward", "1"});
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
  wanted.push_back({"net/ipv6/conf/all/forwarding", "1"});
  return wanted;
}

}  // namespace

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
                                  const std::string& name, int mtu,
                                  const std::vector<IpPrefix>& ranges) {
  ASSIGN_OR_RETURN(std::optional<Link> bridge, FindLink(socket, name));
  if (bridge && !IsOurBridge(*bridge)) return NotOurs(name);
  if (!bridge) {
    ASSIGN_OR_RETURN(bridge, CreateOurBridge(socket, name));
  }
  if (!DecodeBridgeAlias(bridge->alias)) {
    bridge->alias = EncodeBridgeAlias({});
    RETURN_IF_ERROR(socket.Execute(SetAlias(bridge->index, bridge->alias)));
  }
  RETURN_IF_ERROR(
      WriteSysctls(BridgeSysctls(name, HasFamily(ranges, AF_INET6))));
  if (bridge->mtu != mtu) {
    RETURN_IF_ERROR(socket.Execute(SetMtu(bridge->index, mtu)));
  }
  RETURN_IF_ERROR(SyncAddresses(socket, bridge->index, ranges));
  RETURN_IF_ERROR(socket.Execute(SetUp(bridge->index)));
  RETURN_IF_ERROR(AttachLoosePorts(socket, bridge->index));
  return *bridge;
}

absl::StatusOr<std::vector<Sysctl>> EnsureForwarding(
    NetlinkSocket& socket, const Link& bridge,
    const std::vector<IpPrefix>& ranges,
    const std::vector<Sysctl>& remembered) {
  std::vector<Sysctl> saved =
      DecodeBridgeAlias(bridge.alias).value_or(std::vector<Sysctl>());
  for (const Sysctl& old : remembered) RememberOnce(old, &saved);
  ASSIGN_OR_RETURN(const auto wanted, ForwardingSettings(socket, ranges));
  std::vector<Sysctl> changes;
  for (const Sysctl& setting : wanted) {
    ASSIGN_OR_RETURN(const std::string now, ReadSysctl(setting.path));
    if (now == setting.value) continue;
    changes.push_back(setting);
    RememberOnce({setting.path, now}, &saved);
  }
  const std::string alias = EncodeBridgeAlias(saved);
  if (alias != bridge.alias) {
    RETURN_IF_ERROR(socket.Execute(SetAlias(bridge.index, alias)));
  }
  RETURN_IF_ERROR(WriteSysctls(changes));
  return saved;
}

absl::StatusOr<std::vector<Sysctl>> RemoveBridge(NetlinkSocket& socket,
                                                 const std::string& name) {
  ASSIGN_OR_RETURN(const std::optional<Link> bridge, FindLink(socket, name));
  if (!bridge || !IsOurBridge(*bridge)) return std::vector<Sysctl>();
  const absl::Status status = socket.Execute(DeleteLink(bridge->index));
  if (!IsNoSuchLink(status)) RETURN_IF_ERROR(status);
  return DecodeBridgeAlias(bridge->alias).value_or(std::vector<Sysctl>());
}

}  // namespace warren::netplugin
