#include "netplugin/bridge/ranges.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>

#include "netplugin/bridge/instance.h"
#include "netplugin/bridge/plan.h"
#include "netplugin/ipam/address_pool.h"
#include "netplugin/ipam/pod_ranges.h"
#include "netplugin/netlink/address.h"
#include "netplugin/netlink/link.h"
#include "runtime/base/status.h"

namespace warren::netplugin {

absl::StatusOr<std::vector<IpPrefix>> RangesOfBridge(
    NetlinkSocket& socket, const std::string& bridge) {
  std::vector<IpPrefix> ranges;
  ASSIGN_OR_RETURN(const std::optional<Link> link, FindLink(socket, bridge));
  if (!link || !IsOurBridge(*link, bridge)) return ranges;
  ASSIGN_OR_RETURN(const auto addresses, ListAddresses(socket));
  for (const LinkAddress& address : addresses) {
    const IpPrefix range = address.prefix.Masked();
    if (address.link == link->index && GatewayOf(range) == address.prefix &&
        ValidateRanges({range}).ok()) {
      ranges.push_back(range);
    }
  }
  return ranges;
}

absl::Status CheckNoPodIsInTheWay(NetlinkSocket& socket,
                                  const std::string& bridge,
                                  const std::vector<IpPrefix>& ranges,
                                  const std::vector<PodPort>& ports) {
  ASSIGN_OR_RETURN(const std::vector<Link> links, ListLinks(socket));
  absl::flat_hash_map<std::string, const Link*> by_name;
  absl::flat_hash_map<int, std::string> names;
  for (const Link& link : links) {
    by_name[link.name] = &link;
    names[link.index] = link.name;
  }
  for (const PodPort& port : ports) {
    const auto link = by_name.find(port.host_ifname);
    if (link == by_name.end()) continue;  // a rule that a crash left
    const std::string pod = absl::StrCat(
        "sandbox \"", SandboxOfAlias(link->second->alias).value_or("?"),
        "\", link ", link->second->name);
    const int master = link->second->master;
    if (master != 0 && names[master] != bridge) {
      return absl::FailedPreconditionError(
          absl::StrCat("a running pod is on the bridge ", names[master],
                       ", not on ", bridge, " (", pod,
                       "); put back the bridge of before, or stop all "
                       "pods first"));
    }
    for (const IpPrefix& range : ranges) {
      const std::vector<IpAddress> reserved = ReservedOf(range);
      const auto taken =
          std::find_first_of(port.addresses.begin(), port.addresses.end(),
                             reserved.begin(), reserved.end());
      if (taken == port.addresses.end()) continue;
      return absl::FailedPreconditionError(absl::StrCat(
          "pod range ", range.ToString(), " needs ", taken->ToString(),
          " for itself, but a running pod has that address (", pod,
          "); put back the pod range of before and stop that pod first, or "
          "choose another range"));
    }
  }
  return absl::OkStatus();
}

absl::flat_hash_map<std::string, std::vector<IpAddress>> AddressesByLink(
    const std::vector<PodPort>& ports) {
  absl::flat_hash_map<std::string, std::vector<IpAddress>> addresses;
  for (const PodPort& port : ports) {
    std::vector<IpAddress>& of_link = addresses[port.host_ifname];
    of_link.insert(of_link.end(), port.addresses.begin(), port.addresses.end());
  }
  return addresses;
}

}  // namespace warren::netplugin
