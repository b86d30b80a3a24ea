#ifndef WARREN_NETPLUGIN_NETLINK_SYSCTL_H_
#define WARREN_NETPLUGIN_NETLINK_SYSCTL_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

// Kernel settings below /proc/sys/net, as Documentation/networking/ip-sysctl
// of the kernel names them. They are those of the network namespace of the
// calling thread at the time of the call. Errors carry errno. Thread-safe; no
// call waits.
namespace warren::netplugin {

struct Sysctl {
  std::string path;  // "net/ipv4/ip_forward"
  std::string value;

  bool operator==(const Sysctl&) const = default;
};

// The value without the newline.
absl::StatusOr<std::string> ReadSysctl(const std::string& path);

// Writes in order, stops at the first error; what was written stays. A setting
// of IPv6 that the running kernel does not have (ipv6.disable=1) counts as
// written.
absl::Status WriteSysctls(const std::vector<Sysctl>& settings);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_NETLINK_SYSCTL_H_
