#ifndef WARREN_NETPLUGIN_NETLINK_NEIGHBOUR_H_
#define WARREN_NETPLUGIN_NETLINK_NEIGHBOUR_H_

#include "netplugin/ip.h"
#include "netplugin/netlink/link.h"
#include "netplugin/netlink/netlink.h"

// Neighbours and the forwarding table of bridges, which rtnetlink(7) has in one
// message type: RTM_NEWNEIGH, constants of linux/neighbour.h. Functions only
// build a Request; its errors come out of NetlinkSocket. Thread-safe.
namespace warren::netplugin {

// The bridge sends what is for `mac` to its port `port` and nowhere else,
// whoever else claims the address: the entry is static and sticky. (A permanent
// one would be local: the bridge would take such frames itself.) It goes with
// the port. One that is there is replaced.
Request AddStaticForwarding(int port, const MacAddress& mac);

// `address` is at `mac`, for ever: nobody is asked. One that is there is
// replaced.
Request AddPermanentNeighbour(int link, const IpAddress& address,
                              const MacAddress& mac);

// Fails with ENOENT when there is none.
Request DeleteNeighbour(int link, const IpAddress& address);

// The link asks nobody for the address of a neighbour in this family (ARP, ND):
// an unknown one has failed at once, and its entry is the first to be reused
// when the table is full.
Request AskForNoNeighbours(int link, int family);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_NETLINK_NEIGHBOUR_H_
