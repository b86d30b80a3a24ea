#ifndef WARREN_NETPLUGIN_NETLINK_ADDRESS_H_
#define WARREN_NETPLUGIN_NETLINK_ADDRESS_H_

#include <absl/status/statusor.h>

#include <vector>

#include "netplugin/ip.h"
#include "netplugin/netlink/netlink.h"

// Addresses of links by rtnetlink(7): RTM_NEWADDR and its kin, attributes of
// linux/if_addr.h. Building a Request cannot fail here; its errors come out of
// NetlinkSocket. Thread-safe but for the socket.
namespace warren::netplugin {

struct LinkAddress {
  int link = 0;  // index
  IpPrefix prefix;
  uint32_t flags = 0;  // IFA_F_* of linux/if_addr.h
};

// Fails with EEXIST when the link has the address. IPv6 addresses are usable
// at once: no duplicate address detection.
Request AddAddress(int link, const IpPrefix& prefix);
// The same, but without a route to the rest of the prefix: nobody is a
// neighbour by it.
Request AddAddressAlone(int link, const IpPrefix& prefix);
// Fails with EADDRNOTAVAIL when the link does not have it.
Request DeleteAddress(int link, const IpPrefix& prefix);
// Of both families and all links of the socket's namespace, in the kernel's
// order.
absl::StatusOr<std::vector<LinkAddress>> ListAddresses(NetlinkSocket& socket);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_NETLINK_ADDRESS_H_
