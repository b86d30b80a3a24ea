#ifndef WARREN_NETPLUGIN_NETLINK_INSPECT_H_
#define WARREN_NETPLUGIN_NETLINK_INSPECT_H_

#include <absl/status/statusor.h>

#include "netplugin/pod_network.h"

namespace warren::netplugin {

// Links with their addresses, and routes (without those of the local table) of
// the network namespace `netns_fd` (borrowed), read from the kernel now by
// three dumps; what changes between them shows half. Enters the namespace on
// the calling thread to open a socket (InNetns). kInvalidArgument when it is no
// network namespace. Blocks for the kernel only. Thread-safe.
absl::StatusOr<NetnsView> InspectNetns(int netns_fd);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_NETLINK_INSPECT_H_
