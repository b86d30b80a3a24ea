#ifndef WARREN_NETPLUGIN_NETLINK_LINK_H_
#define WARREN_NETPLUGIN_NETLINK_LINK_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "netplugin/netlink/netlink.h"

// Links by rtnetlink(7): RTM_NEWLINK and its kin, attributes of
// linux/if_link.h. Functions that return a Request only build it, so that
// several go to the kernel in one system call. Those that take a socket ask the
// kernel in the socket's namespace and block for its answer only. Thread-safe
// but for the socket.
namespace warren::netplugin {

using MacAddress = std::array<uint8_t, 6>;
std::string FormatMac(const MacAddress& mac);  // "aa:bb:cc:dd:ee:ff"

struct Link {
  int index = 0;
  std::string name;
  std::string alias;
  std::string kind;  // IFLA_INFO_KIND: "veth", "bridge", empty for hardware, lo
  MacAddress mac = {};
  uint32_t group = 0;
  int master = 0;   // index of its bridge, 0 = none
  int mtu = 0;      // bytes
  bool up = false;  // IFF_UP, not whether there is a carrier
};

// Names fit IFNAMSIZ with the NUL and hold no '/', white space or control
// byte, and are no name with a meaning of its own in /proc/sys/net.
bool IsValidIfname(const std::string& name);

// None when the kernel says that there is no such link (ENODEV); every other
// failure is an error, so that "not there" is always a fact.
absl::StatusOr<std::optional<Link>> FindLink(NetlinkSocket& socket,
                                             const std::string& name);
absl::StatusOr<std::optional<Link>> FindLink(NetlinkSocket& socket, int index);
absl::StatusOr<std::vector<Link>> ListLinks(NetlinkSocket& socket);

// A pair whose far end is born in the namespace `peer_netns_fd`. The near end
// joins `group` and the bridge `master` (0 = none) and comes up at once; as
// its peer is down it has no carrier yet.
struct VethSpec {
  std::string name;
  uint32_t group = 0;
  int master = 0;
  int mtu = 0;  // bytes, of both ends
  std::string peer_name;
  MacAddress peer_mac = {};
  int peer_netns_fd = -1;  // borrowed until the request was executed
  // 0 = the kernel chooses; it takes both or none.
  int index = 0;
  int peer_index = 0;
};
Request CreateVeth(const VethSpec& veth);

// No spanning tree, no forwarding delay, no multicast snooping; the fixed
// `mac` keeps the gateway's address when ports come and go. The MTU is set
// later: one given at birth would follow the ports (br_mtu_auto_adjust).
struct BridgeSpec {
  std::string name;
  uint32_t group = 0;
  MacAddress mac = {};
};
Request CreateBridge(const BridgeSpec& bridge);

// The bridge treats frames to 01:80:c2:00:00:03 to :0f like any others, instead
// of handing them to its own node past the hooks of packet filters. (Of the
// first three the kernel drops or hands over what it must.)
Request ForwardLinkLocal(int bridge);

Request SetUp(int index);
Request SetAlias(int index, const std::string& alias);
Request SetMaster(int index, int master);
Request SetMtu(int index, int mtu);
Request SetGroup(int index, uint32_t group);
// Settings of net.ipv4.conf.<link>, by IPV4_DEVCONF_* of linux/ip.h.
Request SetIpv4Conf(int index,
                    const std::vector<std::pair<int, uint32_t>>& settings);
Request SetMac(int index, const MacAddress& mac);
// The bridge learns no address from what this port sends, and sends it nothing
// that is for an address it does not know. Broadcasts and multicasts pass.
Request MakePortForgetful(int index);
// The bridge passes nothing more from or to this port.
Request DisableBridgePort(int index);
// Waits for an RCU grace period inside the kernel: 20-36 ms.
Request DeleteLink(int index);
// All links of a group in one such wait instead of one each.
Request DeleteGroup(uint32_t group);

// True when `status` says that the link does not exist (ENODEV).
bool IsNoSuchLink(const absl::Status& status);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_NETLINK_LINK_H_
