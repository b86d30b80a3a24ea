#ifndef WARREN_NETPLUGIN_IPAM_LEASE_H_
#define WARREN_NETPLUGIN_IPAM_LEASE_H_

#include <string>
#include <vector>

#include "netplugin/ip.h"

namespace warren::netplugin {

// The addresses that one pod holds: one for each pod range, in the order of
// the ranges, with the range's length. Value type.
struct Lease {
  std::string sandbox_id;
  std::vector<IpPrefix> addresses;

  bool operator==(const Lease&) const = default;
};

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_IPAM_LEASE_H_
