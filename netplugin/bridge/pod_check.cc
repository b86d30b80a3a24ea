#include "netplugin/bridge/pod_check.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>
#include <string>

#include "netplugin/bridge/wiring.h"
#include "netplugin/netlink/inspect.h"
#include "netplugin/netlink/link.h"
#include "netplugin/netlink/netlink.h"
#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

// What differs inside the pod; empty when nothing does.
absl::StatusOr<std::string> DiffInside(const WiringPlan& plan, int netns_fd) {
  ASSIGN_OR_RETURN(const NetnsView view, InspectNetns(netns_fd));
  const auto eth0 = std::find_if(
      view.links.begin(), view.links.end(),
      [](const LinkView& link) { return link.name == kPodIfname; });
  if (eth0 == view.links.end()) {
    return absl::StrCat("the pod has no ", kPodIfname);
  }
  if (!eth0->up) return absl::StrCat(kPodIfname, " of the pod is down");
  for (const IpPrefix& address : plan.addresses) {
    if (std::find(eth0->addresses.begin(), eth0->addresses.end(),
                  address.ToString()) == eth0->addresses.end()) {
      return absl::StrCat(kPodIfname, " of the pod lacks the address ",
                          address.ToString());
    }
  }
  return std::string();
}

}  // namespace

absl::StatusOr<PodCheck> ComparePod(const WiringPlan& plan, int bridge,
                                    int netns_fd) {
  const std::string& name = plan.port.host_ifname;
  PodCheck check;
  ASSIGN_OR_RETURN(NetlinkSocket node, NetlinkSocket::Open(NETLINK_ROUTE));
  ASSIGN_OR_RETURN(const std::optional<Link> link, FindLink(node, name));
  if (!link) {
    check.verdict = PodCheck::Verdict::kLost;
    check.problem = absl::StrCat("its link ", name, " is gone");
    return check;
  }
  if (!IsVethOf(*link, plan.alias)) {
    check.verdict = PodCheck::Verdict::kLost;
    check.problem = absl::StrCat("the link ", name, " is not its own");
    return check;
  }
  if (link->master != bridge) {
    check.problem = absl::StrCat("its link ", name, " is not on the bridge");
  } else if (!link->up) {
    check.problem = absl::StrCat("its link ", name, " is down");
  } else if (netns_fd >= 0) {
    ASSIGN_OR_RETURN(check.problem, DiffInside(plan, netns_fd));
  }
  if (!check.problem.empty()) check.verdict = PodCheck::Verdict::kAltered;
  return check;
}

}  // namespace warren::netplugin
