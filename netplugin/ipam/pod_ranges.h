#ifndef WARREN_NETPLUGIN_IPAM_POD_RANGES_H_
#define WARREN_NETPLUGIN_IPAM_POD_RANGES_H_

#include <absl/status/status.h>

#include <optional>
#include <string>
#include <vector>

#include "netplugin/ip.h"

// Which ranges pods may live in. The first three are pure; all are thread-safe.
namespace warren::netplugin {

// kInvalidArgument unless there is one IPv4 range, one IPv6 range or one of
// each, without host bits, unicast, and wide enough for the gateway and a pod.
absl::Status ValidateRanges(const std::vector<IpPrefix>& ranges);

// The first of `used` that overlaps; a default route (length 0) never does.
std::optional<IpPrefix> FindClash(const IpPrefix& range,
                                  const std::vector<IpPrefix>& used);

// A private range of the same size that overlaps none of `used`; IPv4 from
// RFC 1918, IPv6 from fd00::/8 (RFC 4193). None when all are in use.
std::optional<IpPrefix> SuggestFreeRange(const IpPrefix& range,
                                         const std::vector<IpPrefix>& used);

// kFailedPrecondition, naming the route and a free range instead, when the
// calling thread's network namespace already routes one of `ranges` elsewhere
// than to the link `own_bridge`. Used before anything is made (quickstart) and
// by BridgeNetwork.
absl::Status CheckRangesAgainstHostRoutes(const std::vector<IpPrefix>& ranges,
                                          const std::string& own_bridge);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_IPAM_POD_RANGES_H_
