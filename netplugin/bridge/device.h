#ifndef WARREN_NETPLUGIN_BRIDGE_DEVICE_H_
#define WARREN_NETPLUGIN_BRIDGE_DEVICE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "netplugin/ip.h"
#include "netplugin/netlink/link.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/netlink/sysctl.h"

// What all pods of a node share below the packet rules: the bridge and the
// node's forwarding settings. Works on the network namespace of the calling
// thread, whose NETLINK_ROUTE `socket` is given. Errors carry errno. Blocks for
// the kernel only: a few milliseconds, tens for RemoveBridge. Thread-safe but
// for the socket.
namespace warren::netplugin {

bool HasFamily(const std::vector<IpPrefix>& ranges, int family);

// MTU in bytes of the device of the default route (IPv4 before IPv6, lowest
// metric), kDefaultMtu without one.
absl::StatusOr<int> UplinkMtu(NetlinkSocket& socket);

struct BridgeSetup {
  std::string name;
  std::string table;  // nftables tables of the instance, for the alias
  int mtu = 0;        // bytes
  std::vector<IpPrefix> ranges;
};

// Makes the bridge or brings the one we made back to what it should be: MTU,
// settings, exactly the gateway addresses of the ranges, up, all veths of its
// group that have no bridge as ports. Where the gateways of two ranges are the
// same address, it gets the length of the wider one, whose route serves both.
// kFailedPrecondition when a link of that name exists that is not ours.
absl::StatusOr<Link> EnsureBridge(NetlinkSocket& socket,
                                  const BridgeSetup& setup);

// Turns on forwarding for the families of `ranges`. Links that learn their
// IPv6 routes from routers keep doing so (accept_ra 2), which forwarding would
// end. The bridge's alias, which remembers older values, gets those that are
// replaced now and those of `remembered` (from a bridge that was deleted)
// before anything changes. Returns all that it then remembers.
absl::StatusOr<std::vector<Sysctl>> EnsureForwarding(
    NetlinkSocket& socket, const Link& bridge,
    const std::vector<IpPrefix>& ranges, const std::vector<Sysctl>& remembered);

// Deletes the bridge if it is ours. Returns the values its alias remembered.
absl::StatusOr<std::vector<Sysctl>> RemoveBridge(NetlinkSocket& socket,
                                                 const std::string& name);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_BRIDGE_DEVICE_H_
