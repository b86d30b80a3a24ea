#ifndef WARREN_NETPLUGIN_NFT_POD_PORT_H_
#define WARREN_NETPLUGIN_NFT_POD_PORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "netplugin/ip.h"
#include "netplugin/netlink/link.h"

namespace warren::netplugin {

// What a port may send from, and all that the packet filter knows of a pod. A
// value.
struct PodPort {
  std::string host_ifname;
  MacAddress mac = {};
  std::vector<IpAddress> addresses;
};

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_NFT_POD_PORT_H_
