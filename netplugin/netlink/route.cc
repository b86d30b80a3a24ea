#include "netplugin/netlink/route.h"

#include <absl/strings/str_cat.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <cstring>
#include <optional>

#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

constexpr uint8_t kZero[16] = {};

IpAddress AddressIn(absl::string_view bytes) {
  if (bytes.size() == 4) return IpAddress::FromBytes(AF_INET, bytes.data());
  if (bytes.size() == 16) return IpAddress::FromBytes(AF_INET6, bytes.data());
  return IpAddress();
}

void TakeFirstNextHop(const Attributes& attributes, Route* route) {
  const absl::string_view hops = attributes.Bytes(RTA_MULTIPATH);
  if (hops.size() < sizeof(rtnexthop)) return;
  rtnexthop hop;
  std::memcpy(&hop, hops.data(), sizeof(hop));
  route->link = hop.rtnh_ifindex;
}

std::optional<Route> ParseRoute(const nlmsghdr* message) {
  const auto* info = static_cast<const rtmsg*>(nlmsg_data(message));
  const bool known =
      info->rtm_family == AF_INET || info->rtm_family == AF_INET6;
  if (!known || (info->rtm_flags & RTM_F_CLONED) != 0) return std::nullopt;
  const Attributes attributes(message, sizeof(rtmsg), RTA_MAX);
  Route route;
  route.table = attributes.U32(RTA_TABLE, info->rtm_table);
  if (route.table == RT_TABLE_LOCAL) return std::nullopt;
  route.destination.address = AddressIn(attributes.Bytes(RTA_DST));
  if (route.destination.address.family() == 0) {
    route.destination.address = IpAddress::FromBytes(info->rtm_family, kZero);
  }
  route.destination.length = info->rtm_dst_len;
  route.gateway = AddressIn(attributes.Bytes(RTA_GATEWAY));
  route.link = static_cast<int>(attributes.U32(RTA_OIF));
  if (route.link == 0) TakeFirstNextHop(attributes, &route);
  route.metric = attributes.U32(RTA_PRIORITY);
  route.type = info->rtm_type;
  route.protocol = info->rtm_protocol;
  return route;
}

Request DefaultRoute(int link, const IpAddress& gateway, uint32_t flags) {
  rtmsg header = {};
  header.rtm_flags = flags;
  header.rtm_family = gateway.family();
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_UNICAST;
  Request request(
      absl::StrCat("adding the default route by ", gateway.ToString()),
      RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, header);
  request.Bytes(RTA_GATEWAY, gateway.data(), gateway.size());
  request.U32(RTA_OIF, link);
  return request;
}

}  // namespace

Request AddDefaultRoute(int link, const IpAddress& gateway) {
  return DefaultRoute(link, gateway, 0);
}

Request AddDefaultRouteOnLink(int link, const IpAddress& gateway) {
  return DefaultRoute(link, gateway, RTNH_F_ONLINK);
}

absl::StatusOr<std::vector<Route>> ListRoutes(NetlinkSocket& socket) {
  std::vector<Route> routes;
  RETURN_IF_ERROR(socket.Query(
      Request("listing routes", RTM_GETROUTE, NLM_F_DUMP, rtmsg{}),
      [&](const nlmsghdr* message) {
        if (message->nlmsg_type != RTM_NEWROUTE ||
            message->nlmsg_len < NLMSG_LENGTH(sizeof(rtmsg))) {
          return;
        }
        if (auto route = ParseRoute(message)) routes.push_back(*route);
      },
      [&] { routes.clear(); }));
  return routes;
}

}  // namespace warren::netplugin
