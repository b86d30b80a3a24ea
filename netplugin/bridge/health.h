#ifndef WARREN_NETPLUGIN_BRIDGE_HEALTH_H_
#define WARREN_NETPLUGIN_BRIDGE_HEALTH_H_

#include <string>
#include <vector>

#include "netplugin/ip.h"
#include "netplugin/nft/rules.h"
#include "netplugin/pod_network.h"

namespace warren::netplugin {

// Whether the calling thread's network namespace has what all pods need: the
// bridge, up, the tables of `rules`, forwarding for the families of `ranges`. A
// look that fails is not healthy either. Blocks for the kernel only.
// Thread-safe.
Health LookAtNode(const std::string& bridge,
                  const std::vector<IpPrefix>& ranges, PodRules& rules);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_BRIDGE_HEALTH_H_
