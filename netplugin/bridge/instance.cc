#include "netplugin/bridge/instance.h"

#include <absl/container/flat_hash_set.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "netplugin/bridge/plan.h"
#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

// The bridge of another instance: what its alias says.
std::optional<BridgeAlias> OtherBridge(const Link& link,
                                       const std::string& bridge) {
  const bool ours =
      link.group == kOldLinkGroup || (link.group & kGroupsMask) == kGroups;
  if (!ours || link.kind != "bridge" || link.name == bridge) {
    return std::nullopt;
  }
  return DecodeBridgeAlias(link.alias);
}

}  // namespace

bool IsOurBridge(const Link& link, const std::string& bridge) {
  return link.kind == "bridge" && link.name == bridge &&
         (link.group == LinkGroupOf(bridge) || link.group == kOldLinkGroup);
}

absl::Status CheckOthers(const std::vector<Link>& links,
                         const std::string& bridge, const std::string& table) {
  for (const Link& link : links) {
    const std::optional<BridgeAlias> other = OtherBridge(link, bridge);
    if (!other) continue;
    if (other->table == table) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the nftables table ", table, " belongs to the bridge ", link.name,
          " of another Warren; choose another network.table, or delete that "
          "bridge if it is not in use any more"));
    }
    if (link.group == LinkGroupOf(bridge)) {
      return absl::FailedPreconditionError(
          absl::StrCat("the name of the bridge ", bridge,
                       " gives the same link group as that of the bridge ",
                       link.name, "; choose another network.bridge"));
    }
  }
  return absl::OkStatus();
}

std::vector<Link> LinksToMove(const std::vector<Link>& links,
                              const std::string& bridge,
                              const std::vector<PodPort>& ports) {
  int bridge_index = -1;
  for (const Link& link : links) {
    if (IsOurBridge(link, bridge)) bridge_index = link.index;
  }
  absl::flat_hash_set<std::string> known;
  for (const PodPort& port : ports) known.insert(port.host_ifname);
  std::vector<Link> old;
  for (const Link& link : links) {
    if (link.group != kOldLinkGroup) continue;
    const bool here = link.master == bridge_index ||
                      (link.master == 0 && known.contains(link.name));
    if (link.index == bridge_index || (here && SandboxOfLink(link))) {
      old.push_back(link);
    }
  }
  return old;
}

absl::Status MoveLinks(NetlinkSocket& socket, const std::vector<Link>& links,
                       const std::string& bridge) {
  for (const Link& link : links) {
    const absl::Status status =
        socket.Execute(SetGroup(link.index, LinkGroupOf(bridge)));
    if (!IsNoSuchLink(status)) RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

std::vector<Sysctl> Remembered(const std::vector<Link>& links) {
  std::vector<Sysctl> all;
  for (const Link& link : links) {
    const std::optional<BridgeAlias> alias = OtherBridge(link, "");
    if (!alias) continue;
    for (const Sysctl& old : alias->saved) RememberOnce(old, &all);
  }
  return all;
}

absl::StatusOr<bool> HandOver(NetlinkSocket& socket, const std::string& bridge,
                              const std::vector<Sysctl>& saved) {
  ASSIGN_OR_RETURN(const std::vector<Link> links, ListLinks(socket));
  for (const Link& link : links) {
    std::optional<BridgeAlias> other = OtherBridge(link, bridge);
    if (!other) continue;
    for (const Sysctl& old : saved) RememberOnce(old, &other->saved);
    RETURN_IF_ERROR(
        socket.Execute(SetAlias(link.index, EncodeBridgeAlias(*other))));
    return true;
  }
  return false;
}

void RememberOnce(const Sysctl& old, std::vector<Sysctl>* saved) {
  const bool known =
      std::any_of(saved->begin(), saved->end(),
                  [&](const Sysctl& other) { return other.path == old.path; });
  if (!known) saved->push_back(old);
}

}  // namespace warren::netplugin
