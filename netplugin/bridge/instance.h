#ifndef WARREN_NETPLUGIN_BRIDGE_INSTANCE_H_
#define WARREN_NETPLUGIN_BRIDGE_INSTANCE_H_

#include <absl/status/status.h>

#include <string>
#include <vector>

#include "netplugin/netlink/link.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/netlink/sysctl.h"
#include "netplugin/nft/pod_port.h"

// Two Warrens on one node, and pods of an agent that could not tell them apart.
// `links` are those of the node. Thread-safe but for the socket. Blocks for the
// kernel only.
namespace warren::netplugin {

// The bridge of the instance, of this or an older agent.
bool IsOurBridge(const Link& link, const std::string& bridge);

// kFailedPrecondition, saying what to change, when another instance's bridge
// has the group of `bridge` or names `table` as its own. Pure.
absl::Status CheckOthers(const std::vector<Link>& links,
                         const std::string& bridge, const std::string& table);

// The links of an older agent that belong to `bridge` and are in the group that
// all instances had: it, and veths that are its ports, or ports of no bridge
// with an entry in `ports` (the table of the instance). Pure.
std::vector<Link> LinksToMove(const std::vector<Link>& links,
                              const std::string& bridge,
                              const std::vector<PodPort>& ports);

// Moves these to the group of `bridge`. Those that are gone are OK.
absl::Status MoveLinks(NetlinkSocket& socket, const std::vector<Link>& links,
                       const std::string& bridge);

// What the aliases of all bridges of Warren's remember. Pure.
std::vector<Sysctl> Remembered(const std::vector<Link>& links);

// The settings that other instances still need, and what they were before any
// of them: adds `saved` to what the alias of one of them remembers, and returns
// true. False when there is no other instance.
absl::StatusOr<bool> HandOver(NetlinkSocket& socket, const std::string& bridge,
                              const std::vector<Sysctl>& saved);

// Adds what is known of a setting unless `saved` has it.
void RememberOnce(const Sysctl& old, std::vector<Sysctl>* saved);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_BRIDGE_INSTANCE_H_
