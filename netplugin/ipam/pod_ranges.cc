#include "netplugin/ipam/pod_ranges.h"

#include <absl/strings/str_cat.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdint>

#include "netplugin/netlink/link.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/netlink/route.h"
#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

// Where no pod can live: "this network", loopback, link-local, multicast and
// reserved (RFC 6890, RFC 4291).
constexpr const char* kUnusable[] = {
    "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3",
    "::/16",     "fe80::/10",   "ff00::/8"};
// Where free ranges are looked for, in this order.
constexpr const char* kPrivate[] = {"10.0.0.0/8", "172.16.0.0/12",
                                    "192.168.0.0/16", "fd00::/8"};
constexpr int kMaxTries = 4096;

absl::Status ValidateRange(const IpPrefix& range) {
  const std::string name = range.ToString();
  if (range.address.family() == 0) {
    return absl::InvalidArgumentError("a pod range is empty");
  }
  if (range.Masked() != range) {
    return absl::InvalidArgumentError(
        absl::StrCat("pod range ", name, " has host bits; the network is ",
                     range.Masked().ToString()));
  }
  // Network and gateway leave no pod in less than two host bits.
  if (range.length > range.address.bits() - 2 || range.length < 8) {
    return absl::InvalidArgumentError(absl::StrCat(
        "pod range ", name, " is too ", range.length < 8 ? "wide" : "small"));
  }
  for (const char* text : kUnusable) {
    if (IpPrefix::Parse(text)->Overlaps(range)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "pod range ", name, " lies in ", text, ", which is reserved"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateRanges(const std::vector<IpPrefix>& ranges) {
  if (ranges.empty()) {
    return absl::InvalidArgumentError("there is no pod range");
  }
  for (const IpPrefix& range : ranges) RETURN_IF_ERROR(ValidateRange(range));
  if (ranges.size() > 2 ||
      (ranges.size() == 2 &&
       ranges[0].address.family() == ranges[1].address.family())) {
    return absl::InvalidArgumentError(
        "more than one pod range of an address family");
  }
  return absl::OkStatus();
}

std::optional<IpPrefix> FindClash(const IpPrefix& range,
                                  const std::vector<IpPrefix>& used) {
  for (const IpPrefix& other : used) {
    if (other.length > 0 && other.Overlaps(range)) return other;
  }
  return std::nullopt;
}

std::optional<IpPrefix> SuggestFreeRange(const IpPrefix& range,
                                         const std::vector<IpPrefix>& used) {
  for (const char* text : kPrivate) {
    const IpPrefix whole = *IpPrefix::Parse(text);
    if (whole.address.family() != range.address.family() ||
        whole.length > range.length) {
      continue;
    }
    IpPrefix candidate = {whole.address, range.length};
    for (int i = 0; i < kMaxTries && whole.Overlaps(candidate); ++i) {
      if (ValidateRange(candidate).ok() && !FindClash(candidate, used)) {
        return candidate;
      }
      candidate.address = candidate.End();
    }
  }
  return std::nullopt;
}

absl::Status CheckRangesAgainstHostRoutes(const std::vector<IpPrefix>& ranges,
                                          const std::string& own_bridge) {
  ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::Open(NETLINK_ROUTE));
  ASSIGN_OR_RETURN(const std::vector<Link> links, ListLinks(socket));
  ASSIGN_OR_RETURN(const std::vector<Route> routes, ListRoutes(socket));
  const auto name_of = [&](int index) -> std::string {
    for (const Link& link : links) {
      if (link.index == index) return link.name;
    }
    return "";
  };
  std::vector<IpPrefix> used;
  for (const Route& route : routes) {
    if (!own_bridge.empty() && name_of(route.link) == own_bridge) continue;
    used.push_back(route.destination);
  }
  // Two pod ranges never clash (they differ in family), so the free range may
  // be sought against the routes alone.
  for (const IpPrefix& range : ranges) {
    const std::optional<IpPrefix> clash = FindClash(range, used);
    if (!clash) continue;
    std::string message =
        absl::StrCat("pod range ", range.ToString(),
                     " overlaps the node's route to ", clash->ToString());
    for (const Route& route : routes) {
      if (route.destination != *clash || route.link == 0) continue;
      absl::StrAppend(&message, " by ", name_of(route.link));
      break;
    }
    if (const auto free = SuggestFreeRange(range, used)) {
      absl::StrAppend(&message, "; ", free->ToString(), " is free");
    }
    return absl::FailedPreconditionError(message);
  }
  return absl::OkStatus();
}

}  // namespace warren::netplugin
