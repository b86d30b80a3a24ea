#ifndef WARREN_NETPLUGIN_BRIDGE_POD_CHECK_H_
#define WARREN_NETPLUGIN_BRIDGE_POD_CHECK_H_

#include <absl/status/statusor.h>

#include "netplugin/bridge/plan.h"
#include "netplugin/pod_network.h"

namespace warren::netplugin {

// Compares what the kernel has of a pod with its plan: the node's end, a port
// of the bridge with the index `bridge`, and, unless `netns_fd` is -1, eth0 and
// its addresses inside the pod. The MTU is not compared: the uplink's may have
// changed since. Changes nothing; enters `netns_fd` (borrowed) on the calling
// thread to open a socket. The result's `state` is left empty.
//
// kLost is said of a node's end that the kernel says does not exist, or that is
// not this pod's. An error means that one of the looks failed. Thread-safe.
absl::StatusOr<PodCheck> ComparePod(const WiringPlan& plan, int bridge,
                                    int netns_fd);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_BRIDGE_POD_CHECK_H_
