#include "netplugin/bridge/health.h"

#include <absl/strings/str_cat.h>
#include <sys/socket.h>

#include "netplugin/bridge/forwarding.h"
#include "netplugin/netlink/link.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/netlink/sysctl.h"

namespace warren::netplugin {

Health LookAtNode(const std::string& bridge,
                  const std::vector<IpPrefix>& ranges, PodRules& rules) {
  const auto sick = [](const char* reason, absl::string_view message) {
    return Health{false, reason, std::string(message)};
  };
  auto socket = NetlinkSocket::Open(NETLINK_ROUTE);
  if (!socket.ok()) return sick("NetlinkFailed", socket.status().message());
  const auto link = FindLink(*socket, bridge);
  if (!link.ok()) return sick("NetlinkFailed", link.status().message());
  if (!link->has_value() || !(*link)->up) {
    return sick("BridgeMissing",
                absl::StrCat("bridge ", bridge, " is ",
                             link->has_value() ? "down" : "missing"));
  }
  const auto present = rules.Present();
  if (!present.ok()) return sick("RulesFailed", present.status().message());
  if (!*present) return sick("RulesMissing", "nftables tables are missing");
  for (const IpPrefix& range : ranges) {
    const char* const path =
        range.address.family() == AF_INET ? kForwarding4 : kForwarding6;
    const auto value = ReadSysctl(path);
    if (!value.ok() || *value != "1") {
      return sick("ForwardingOff", absl::StrCat("sysctl ", path, " is not 1"));
    }
  }
  return {true, "NetworkReady", ""};
}

}  // namespace warren::netplugin
