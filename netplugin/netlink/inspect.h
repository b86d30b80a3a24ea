#ifndef WARREN_NETPLUGIN_NETLINK_INSPECT_H_
#define WARREN_NETPLUGIN_NETLINK_INSPECT_H_

#include <absl/status/statusor.h>

#include "netplugin/pod_network.h"

namespace warren::netplugin {

// Links with their addresses, and routes (without those of the local table) of
// the network namespace `netns_fd`, read from the kernel now. Thread-safe.
absl::StatusOr<NetnsView> InspectNetns(int netns_fd);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_NETLINK_INSPECT_H_
