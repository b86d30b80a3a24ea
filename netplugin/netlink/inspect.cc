#include "netplugin/netlink/inspect.h"

#include <absl/status/status.h>

#include <optional>
#include <utility>

#include "netplugin/netlink/address.h"
#include "netplugin/netlink/link.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/netlink/netns.h"
#include "netplugin/netlink/route.h"
#include "runtime/base/status.h"

namespace warren::netplugin {

absl::StatusOr<NetnsView> InspectNetns(int netns_fd) {
  std::optional<NetlinkSocket> socket;
  RETURN_IF_ERROR(InNetns(netns_fd, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(NetlinkSocket opened, NetlinkSocket::Open(NETLINK_ROUTE));
    socket.emplace(std::move(opened));
    return absl::OkStatus();
  }));
  ASSIGN_OR_RETURN(const auto links, ListLinks(*socket));
  ASSIGN_OR_RETURN(const auto addresses, ListAddresses(*socket));
  ASSIGN_OR_RETURN(const auto routes, ListRoutes(*socket));
  NetnsView view;
  const auto name_of = [&](int index) -> std::string {
    for (const Link& link : links) {
      if (link.index == index) return link.name;
    }
    return "";
  };
  for (const Link& link : links) {
    LinkView one{link.name, FormatMac(link.mac), link.mtu, link.up, {}};
    for (const LinkAddress& address : addresses) {
      if (address.link != link.index) continue;
      one.addresses.push_back(address.prefix.ToString());
    }
    view.links.push_back(std::move(one));
  }
  for (const Route& route : routes) {
    view.routes.push_back(
        {route.destination.length == 0 ? "default"
                                       : route.destination.ToString(),
         route.gateway.family() == 0 ? "" : route.gateway.ToString(),
         name_of(route.link)});
  }
  return view;
}

}  // namespace warren::netplugin
