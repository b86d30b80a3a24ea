#ifndef WARREN_NETPLUGIN_BRIDGE_RANGES_H_
#define WARREN_NETPLUGIN_BRIDGE_RANGES_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "netplugin/ip.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/nft/pod_port.h"

// What the kernel tells of the ranges and addresses that pods live on, before
// any record was read. `socket` is a NETLINK_ROUTE one of the node. Errors are
// those of a look that failed. Blocks for the kernel only. Thread-safe but for
// the socket.
namespace warren::netplugin {

// The ranges whose gateway the bridge has now: those in force when an agent
// last ran. None without a bridge, and of a bridge that is not ours.
absl::StatusOr<std::vector<IpPrefix>> RangesOfBridge(NetlinkSocket& socket,
                                                     const std::string& bridge);

// kFailedPrecondition, naming the sandbox and what to do, when one of `ports`,
// whose link exists,
//  - sends from an address that one of `ranges` needs for itself: the bridge
//    would take a running pod's address, or
//  - is on another bridge than `bridge`, which has the gateway of its pod.
absl::Status CheckNoPodIsInTheWay(NetlinkSocket& socket,
                                  const std::string& bridge,
                                  const std::vector<IpPrefix>& ranges,
                                  const std::vector<PodPort>& ports);

// The addresses of the ports, by link.
absl::flat_hash_map<std::string, std::vector<IpAddress>> AddressesByLink(
    const std::vector<PodPort>& ports);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_BRIDGE_RANGES_H_
