#ifndef WARREN_NETPLUGIN_BRIDGE_OPTIONS_H_
#define WARREN_NETPLUGIN_BRIDGE_OPTIONS_H_

#include <absl/status/status.h>
#include <absl/time/time.h>

#include <string>
#include <vector>

#include "netplugin/ip.h"
#include "runtime/base/clock.h"

namespace warren::netplugin {

struct BridgeNetworkOptions {
  std::vector<IpPrefix> ranges;    // ValidateRanges
  std::string bridge = "warren0";  // link name
  int mtu = 0;                     // bytes; 0 = that of the uplink
  std::string table = "warren";    // nftables table names
  // Where what the node forwarded before us is recorded (forwarding.h); must
  // not survive a reboot. Empty = nowhere.
  std::string run_dir;
  // Whether packets between others than pods are forwarded, too, where the node
  // did not forward before us.
  bool forward_others = false;
  const base::Clock* clock = &base::SystemClock();  // borrowed
  // A released address rests so long, unless its range is otherwise full.
  absl::Duration cool_down = absl::Seconds(30);
  // How long the link of a detached pod may go by itself (LinkReaper).
  absl::Duration link_grace = absl::Milliseconds(200);
};

inline constexpr int kMinMtu = 1280;  // IPv6 needs it (RFC 8200, 5)
inline constexpr int kMaxMtu = 65535;

// kInvalidArgument, saying what is wrong. Pure.
absl::Status CheckOptions(const BridgeNetworkOptions& options);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_BRIDGE_OPTIONS_H_
