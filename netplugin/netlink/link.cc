#include "netplugin/netlink/link.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netlink/msg.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

// RTEXT_FILTER_SKIP_STATS: the counters are most of a link message.
constexpr uint32_t kSkipStats = 1u << 3;

ifinfomsg Header(int index = 0, bool up = false) {
  ifinfomsg header = {};
  header.ifi_index = index;
  if (up) header.ifi_flags = header.ifi_change = IFF_UP;
  return header;
}

Request Change(absl::string_view what, int index) {
  return Request(absl::StrCat(what, " of link ", index), RTM_SETLINK, 0,
                 Header(index));
}

Request ChangePort(absl::string_view what, int index) {
  ifinfomsg header = Header(index);
  header.ifi_family = AF_BRIDGE;
  return Request(absl::StrCat(what, " of link ", index), RTM_SETLINK, 0,
                 header);
}

Link ParseLink(const nlmsghdr* message) {
  const auto* info = static_cast<const ifinfomsg*>(nlmsg_data(message));
  const Attributes attributes(message, sizeof(ifinfomsg), IFLA_MAX);
  const Attributes kind(attributes.Find(IFLA_LINKINFO), IFLA_INFO_MAX);
  Link link;
  link.index = info->ifi_index;
  link.up = (info->ifi_flags & IFF_UP) != 0;
  link.name = attributes.String(IFLA_IFNAME);
  link.alias = attributes.String(IFLA_IFALIAS);
  link.kind = kind.String(IFLA_INFO_KIND);
  link.group = attributes.U32(IFLA_GROUP);
  link.master = static_cast<int>(attributes.U32(IFLA_MASTER));
  link.mtu = static_cast<int>(attributes.U32(IFLA_MTU));
  const absl::string_view mac = attributes.Bytes(IFLA_ADDRESS);
  if (mac.size() == link.mac.size()) {
    std::memcpy(link.mac.data(), mac.data(), mac.size());
  }
  return link;
}

absl::StatusOr<std::vector<Link>> QueryLinks(NetlinkSocket& socket,
                                             Request request) {
  request.U32(IFLA_EXT_MASK, kSkipStats);
  std::vector<Link> links;
  RETURN_IF_ERROR(socket.Query(
      std::move(request),
      [&](const nlmsghdr* message) {
        if (message->nlmsg_type == RTM_NEWLINK &&
            message->nlmsg_len >= NLMSG_LENGTH(sizeof(ifinfomsg))) {
          links.push_back(ParseLink(message));
        }
      },
      [&] { links.clear(); }));
  return links;
}

absl::StatusOr<std::optional<Link>> FirstLink(
    absl::StatusOr<std::vector<Link>> links) {
  if (IsNoSuchLink(links.status())) return std::nullopt;
  RETURN_IF_ERROR(links.status());
  if (links->empty()) return std::nullopt;
  return links->front();
}

}  // namespace

std::string FormatMac(const MacAddress& mac) {
  return absl::StrFormat("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
                         mac[2], mac[3], mac[4], mac[5]);
}

bool IsValidIfname(const std::string& name) {
  return !name.empty() && name.size() < IFNAMSIZ && name != "." &&
         name != ".." && name != "all" && name != "default" &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return c > ' ' && c < 0x7f && c != '/' && c != ':' && c != '%';
         });
}

absl::StatusOr<std::optional<Link>> FindLink(NetlinkSocket& socket,
                                             const std::string& name) {
  Request request(absl::StrCat("looking for link ", name), RTM_GETLINK, 0,
                  Header());
  request.String(IFLA_IFNAME, name);
  return FirstLink(QueryLinks(socket, std::move(request)));
}

absl::StatusOr<std::optional<Link>> FindLink(NetlinkSocket& socket, int index) {
  return FirstLink(
      QueryLinks(socket, Request(absl::StrCat("looking for link ", index),
                                 RTM_GETLINK, 0, Header(index))));
}

absl::StatusOr<std::vector<Link>> ListLinks(NetlinkSocket& socket) {
  return QueryLinks(
      socket, Request("listing links", RTM_GETLINK, NLM_F_DUMP, Header()));
}

Request CreateVeth(const VethSpec& veth) {
  Request request(absl::StrCat("creating veth ", veth.name), RTM_NEWLINK,
                  NLM_F_CREATE | NLM_F_EXCL, Header(veth.index, /*up=*/true));
  request.String(IFLA_IFNAME, veth.name);
  request.U32(IFLA_GROUP, veth.group);
  request.U32(IFLA_MTU, veth.mtu);
  if (veth.master != 0) request.U32(IFLA_MASTER, veth.master);
  request.Nest(IFLA_LINKINFO, [&] {
    request.String(IFLA_INFO_KIND, "veth");
    request.Nest(IFLA_INFO_DATA, [&] {
      request.Nest(VETH_INFO_PEER, [&] {
        request.Raw(Header(veth.peer_index));
        request.String(IFLA_IFNAME, veth.peer_name);
        request.U32(IFLA_MTU, veth.mtu);
        request.Bytes(IFLA_ADDRESS, veth.peer_mac.data(), veth.peer_mac.size());
        request.U32(IFLA_NET_NS_FD, veth.peer_netns_fd);
      });
    });
  });
  return request;
}

Request CreateBridge(const BridgeSpec& bridge) {
  Request request(absl::StrCat("creating bridge ", bridge.name), RTM_NEWLINK,
                  NLM_F_CREATE | NLM_F_EXCL, Header());
  request.String(IFLA_IFNAME, bridge.name);
  request.U32(IFLA_GROUP, bridge.group);
  request.Bytes(IFLA_ADDRESS, bridge.mac.data(), bridge.mac.size());
  request.Nest(IFLA_LINKINFO, [&] {
    request.String(IFLA_INFO_KIND, "bridge");
    request.Nest(IFLA_INFO_DATA, [&] {
      request.U32(IFLA_BR_STP_STATE, 0);
      request.U32(IFLA_BR_FORWARD_DELAY, 0);
      request.U8(IFLA_BR_MCAST_SNOOPING, 0);
    });
  });
  return request;
}

Request ForwardLinkLocal(int bridge) {
  constexpr uint16_t kMask = 0xfff8;  // BR_GROUPFWD_RESTRICTED left out
  Request request(absl::StrCat("setting the group mask of bridge ", bridge),
                  RTM_NEWLINK, 0, Header(bridge));
  request.Nest(IFLA_LINKINFO, [&] {
    request.String(IFLA_INFO_KIND, "bridge");
    request.Nest(IFLA_INFO_DATA, [&] {
      request.Bytes(IFLA_BR_GROUP_FWD_MASK, &kMask, sizeof(kMask));
    });
  });
  return request;
}

Request SetUp(int index) {
  return Request(absl::StrCat("bringing up link ", index), RTM_SETLINK, 0,
                 Header(index, /*up=*/true));
}

Request SetAlias(int index, const std::string& alias) {
  Request request = Change("setting the alias", index);
  // An alias is not a C string: no NUL (rtnetlink's policy is NLA_BINARY).
  request.Bytes(IFLA_IFALIAS, alias.data(), alias.size());
  return request;
}

Request SetMaster(int index, int master) {
  Request request = Change("setting the bridge", index);
  request.U32(IFLA_MASTER, master);
  return request;
}

Request SetMtu(int index, int mtu) {
  Request request = Change("setting the MTU", index);
  request.U32(IFLA_MTU, mtu);
  return request;
}

Request SetGroup(int index, uint32_t group) {
  Request request = Change("setting the group", index);
  request.U32(IFLA_GROUP, group);
  return request;
}

Request SetIpv4Conf(int index,
                    const std::vector<std::pair<int, uint32_t>>& settings) {
  Request request = Change("setting the IPv4 configuration", index);
  request.Nest(IFLA_AF_SPEC, [&] {
    request.Nest(AF_INET, [&] {
      request.Nest(IFLA_INET_CONF, [&] {
        for (const auto& [key, value] : settings) request.U32(key, value);
      });
    });
  });
  return request;
}

Request SetMac(int index, const MacAddress& mac) {
  Request request = Change("setting the MAC address", index);
  request.Bytes(IFLA_ADDRESS, mac.data(), mac.size());
  return request;
}

Request MakePortForgetful(int index) {
  Request request = ChangePort("turning off learning", index);
  request.Nest(IFLA_PROTINFO | NLA_F_NESTED, [&] {
    request.U8(IFLA_BRPORT_LEARNING, 0);
    request.U8(IFLA_BRPORT_UNICAST_FLOOD, 0);
  });
  return request;
}

Request DisableBridgePort(int index) {
  Request request = ChangePort("disabling the bridge port", index);
  // The kernel insists on the nested flag here (br_setlink).
  request.Nest(IFLA_PROTINFO | NLA_F_NESTED,
               [&] { request.U8(IFLA_BRPORT_STATE, BR_STATE_DISABLED); });
  return request;
}

Request DeleteLink(int index) {
  return Request(absl::StrCat("deleting link ", index), RTM_DELLINK, 0,
                 Header(index));
}

Request DeleteGroup(uint32_t group) {
  Request request(absl::StrCat("deleting the links of group ", group),
                  RTM_DELLINK, 0, Header());
  request.U32(IFLA_GROUP, group);
  return request;
}

bool IsNoSuchLink(const absl::Status& status) {
  return base::GetErrno(status) == ENODEV;
}

}  // namespace warren::netplugin
