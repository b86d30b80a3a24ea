#ifndef WARREN_NETPLUGIN_NETLINK_ROUTE_H_
#define WARREN_NETPLUGIN_NETLINK_ROUTE_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <vector>

#include "netplugin/ip.h"
#include "netplugin/netlink/netlink.h"

// Routes by rtnetlink(7): RTM_NEWROUTE and its kin, constants of
// linux/rtnetlink.h. Thread-safe but for the socket.
namespace warren::netplugin {

struct Route {
  IpPrefix destination;  // length 0 = default
  IpAddress gateway;     // family 0 = on link
  int link = 0;          // index; 0 = none (blackhole and the like)
  uint32_t table = 0;    // RT_TABLE_*
  uint32_t metric = 0;
  uint8_t type = 0;      // RTN_*
  uint8_t protocol = 0;  // RTPROT_*
};

// In the main table, for the family of `gateway`. Fails with ENETUNREACH when
// the link has no address from which the gateway is reached.
Request AddDefaultRoute(int link, const IpAddress& gateway);
// The same; the gateway is reached by the link, whatever other routes say.
Request AddDefaultRouteOnLink(int link, const IpAddress& gateway);

// All routes of both families but those of the local table (own and broadcast
// addresses) and the cached ones. A route with several next hops is listed
// with its first.
absl::StatusOr<std::vector<Route>> ListRoutes(NetlinkSocket& socket);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_NETLINK_ROUTE_H_
