#ifndef WARREN_NETPLUGIN_NFT_POD_PORT_H_
#define WARREN_NETPLUGIN_NFT_POD_PORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "netplugin/ip.h"
#include "netplugin/netlink/link.h"

namespace warren::netplugin {

// Links of Warren's are in groups of their own, one for each instance:
// kGroups in the bits of kGroupsMask, the rest follows from the instance.
inline constexpr uint32_t kGroups = 0x57000000;
inline constexpr uint32_t kGroupsMask = 0xff000000;
// The group of agents that had one for all instances ("wrn").
inline constexpr uint32_t kOldLinkGroup = 0x0077726e;

// What a port may send from, and all that the packet filter knows of a pod. A
// value.
struct PodPort {
  std::string host_ifname;
  MacAddress mac = {};
  std::vector<IpAddress> addresses;
};

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_NFT_POD_PORT_H_
