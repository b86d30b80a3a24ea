#ifndef WARREN_NETPLUGIN_BRIDGE_PLAN_H_
#define WARREN_NETPLUGIN_BRIDGE_PLAN_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "netplugin/ip.h"
#include "netplugin/ipam/lease.h"
#include "netplugin/netlink/link.h"
#include "netplugin/netlink/sysctl.h"
#include "netplugin/nft/pod_port.h"

// What is to be done to wire a pod to the bridge, as values: names, addresses
// and settings. Pure; wiring.h carries it out. Names and aliases are on links
// that outlive the agent: a new version must derive them as an old one did.
namespace warren::netplugin {

// All links of an instance carry its group from birth: its bridge, and the
// node's ends of its pods, by which its packet filter knows them. The group
// follows from the name of the bridge, which the node has once: kGroups and 24
// bits of a hash (pod_port.h). Two names with the same hash are refused at the
// start (instance.h).
uint32_t LinkGroupOf(const std::string& bridge);

inline constexpr char kPodIfname[] = "eth0";
inline constexpr int kDefaultMtu = 1500;

// The node's end of a sandbox's veth: "wr" and 13 characters, those that
// crictl shows when the ID is 64 hexadecimal digits, else of a hash. Always the
// same for an ID, so that no database is needed to find the link.
std::string HostIfname(const std::string& sandbox_id);

// The alias tells the whole ID: "warren:<sandbox id>". None when it is not one
// of ours.
std::string LinkAlias(const std::string& sandbox_id);
std::optional<std::string> SandboxOfAlias(const std::string& alias);

// The sandbox behind a veth end in the node that is Warren's, of whichever
// instance, by group and alias, or by group and name when a crash came between
// the two messages that make it (the ID is then unknown: an empty string).
std::optional<std::string> SandboxOfLink(const Link& link);

// The bridge's MAC address: the same when it is deleted and made again, as pods
// ask for it no more than once.
MacAddress BridgeMac(const std::string& bridge);

// The bridge's address in a range: the first host address.
IpPrefix GatewayOf(const IpPrefix& range);

// The pod's MAC address follows from its first IP address: two pods of a node
// never share one, and who remembers a reused IP address remembers right.
MacAddress PodMac(const Lease& lease);

PodPort PortOf(const Lease& lease);

// kInvalidArgument for a lease without ID or addresses, or with an ID that does
// not fit an alias or holds control characters.
absl::Status CheckLease(const Lease& lease);

struct WiringPlan {
  PodPort port;
  std::string alias;
  int mtu = 0;                       // bytes
  std::vector<IpPrefix> addresses;   // of eth0
  std::vector<IpAddress> gateways;   // default routes
  std::vector<Sysctl> pod_sysctls;   // in the pod, before eth0 exists
  std::vector<Sysctl> host_sysctls;  // in the node, before there is a carrier
};
// kInvalidArgument as CheckLease.
absl::StatusOr<WiringPlan> MakeWiringPlan(const Lease& lease, int mtu);

// Settings of the bridge itself (NET-1), before it comes up.
std::vector<Sysctl> BridgeSysctls(const std::string& bridge, bool ipv6);

// What the alias of a bridge tells.
struct BridgeAlias {
  std::string table;  // nftables tables of its instance; empty = not told
  // What forwarding settings of the node were before us. They live as long as
  // the settings themselves: until a reboot.
  std::vector<Sysctl> saved;
};
std::string EncodeBridgeAlias(const BridgeAlias& alias);
// None when the alias is not that of a bridge of Warren's.
std::optional<BridgeAlias> DecodeBridgeAlias(const std::string& alias);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_BRIDGE_PLAN_H_
