#ifndef WARREN_NETPLUGIN_BRIDGE_WIRING_H_
#define WARREN_NETPLUGIN_BRIDGE_WIRING_H_

#include <absl/status/status.h>

#include <string>

#include "netplugin/bridge/plan.h"
#include "netplugin/netlink/link.h"
#include "netplugin/nft/rules.h"

namespace warren::netplugin {

// Carries out `plan` in the calling thread's network namespace (the node) and
// in `netns_fd` (the pod): port rule, veth on the bridge with the index
// `bridge`, addresses, routes, lo. All or nothing as far as the node goes; a
// failed pod namespace keeps its IPv6 settings and is to be dropped.
// kInvalidArgument when `netns_fd` is no network namespace or the node's own.
// Thread-safe.
absl::Status WirePod(const WiringPlan& plan, int bridge, int netns_fd,
                     PodRules& rules);

// True for a link that WirePod made, complete or cut short, for the sandbox
// with the alias.
bool IsVethOf(const Link& link, const std::string& alias);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_BRIDGE_WIRING_H_
