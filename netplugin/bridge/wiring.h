#ifndef WARREN_NETPLUGIN_BRIDGE_WIRING_H_
#define WARREN_NETPLUGIN_BRIDGE_WIRING_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "netplugin/bridge/plan.h"
#include "netplugin/netlink/link.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/nft/rules.h"

namespace warren::netplugin {

// The bridge that a pod becomes a port of, and the group of its ports.
struct PodBridge {
  int index = 0;
  uint32_t group = 0;
  MacAddress mac = {};
};

// Guards the port `link` of the bridge with the index `bridge`: its MAC address
// leads nowhere else, and the bridge learns no other one from it (NET-6). In
// this order, so that a pod of an older agent stays reachable. The node asks
// nobody for the addresses of the pod (NET-7).
std::vector<Request> GuardPort(int bridge, int link, const PodPort& port);

// The inverse for what does not go with the port.
void ForgetNeighbours(NetlinkSocket& socket, int bridge,
                      const std::vector<IpAddress>& addresses);

// Guards those of `ports` that are on `bridge`, and all veths of sandboxes
// there that have no entry: these become unreachable.
absl::Status GuardPorts(NetlinkSocket& socket, int bridge,
                        const std::vector<PodPort>& ports);

// Carries out `plan` in the calling thread's network namespace (the node) and
// in `netns_fd` (the pod): port rule, veth on
// `bridge`, addresses, routes, lo. All or nothing as far as the node goes; a
// failed pod namespace keeps its IPv6 settings and is to be dropped.
// kInvalidArgument when `netns_fd` (borrowed) is no network namespace or the
// node's own. Enters it once, on the calling thread, to open a socket and write
// settings. Blocks inside the kernel only: about 1 ms; tens of milliseconds
// when a link that a crash left is deleted first. Thread-safe.
absl::Status WirePod(const WiringPlan& plan, const PodBridge& bridge,
                     int netns_fd, PodRules& rules);

// True for a link that WirePod made, complete or cut short, for the sandbox
// with the alias, in whichever instance.
bool IsVethOf(const Link& link, const std::string& alias);

// The veths of sandboxes on `bridge`, and those of its group on none. All
// others belong to another Warren. `socket` is one of the node.
absl::StatusOr<std::vector<Link>> ListVeths(NetlinkSocket& socket,
                                            const std::string& bridge);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_BRIDGE_WIRING_H_
