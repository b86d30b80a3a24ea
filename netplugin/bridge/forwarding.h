#ifndef WARREN_NETPLUGIN_BRIDGE_FORWARDING_H_
#define WARREN_NETPLUGIN_BRIDGE_FORWARDING_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "netplugin/netlink/sysctl.h"

// What the node forwarded before there was any Warren on it (NET-8). Recorded
// once in each boot, in the file "forwarding" of the run directory, which is
// text: a line with name and version, then lines of a key, one space and a
// value. Blocks for the file system only. Thread-safe.
//
//   warren-forwarding 1
//   boot 01234567-89ab-cdef-0123-456789abcdef
//   net/ipv4/ip_forward 0
//   net/ipv6/conf/all/forwarding 0
namespace warren::netplugin {

inline constexpr char kForwarding4[] = "net/ipv4/ip_forward";
inline constexpr char kForwarding6[] = "net/ipv6/conf/all/forwarding";

// The two settings, IPv4 first, with the values of before. Of this boot's
// record; without one (missing, damaged, of an earlier boot) the value is that
// of `known`, which aliases of bridges remember, else what it is now, and the
// record is written. With an empty `run_dir` there is no record. Errors: the
// settings cannot be read, or the record not be written.
absl::StatusOr<std::vector<Sysctl>> ForwardingBefore(
    const std::string& run_dir, const std::vector<Sysctl>& known);

// Drops the record, once the settings are what they were. A missing one is OK.
absl::Status ForgetForwarding(const std::string& run_dir);

// The value of before is "off". False for a setting that is not in `before`.
bool WasOff(const std::vector<Sysctl>& before, const std::string& path);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_BRIDGE_FORWARDING_H_
