#include "netplugin/netlink/address.h"

#include <absl/strings/str_cat.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>

#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

ifaddrmsg Header(int link, const IpPrefix& prefix) {
  ifaddrmsg header = {};
  header.ifa_family = prefix.address.family();
  header.ifa_prefixlen = prefix.length;
  header.ifa_index = link;
  header.ifa_scope = RT_SCOPE_UNIVERSE;
  return header;
}

IpAddress BroadcastOf(const IpPrefix& prefix) {
  const uint64_t hosts = uint64_t{1} << (32 - prefix.length);
  return prefix.Masked().address.Plus(hosts - 1);
}

std::optional<LinkAddress> ParseAddress(const nlmsghdr* message) {
  const auto* info = static_cast<const ifaddrmsg*>(nlmsg_data(message));
  const Attributes attributes(message, sizeof(ifaddrmsg), IFA_MAX);
  // IFA_LOCAL is ours, IFA_ADDRESS the peer's on point-to-point links.
  const int type = attributes.Has(IFA_LOCAL) ? IFA_LOCAL : IFA_ADDRESS;
  const absl::string_view bytes = attributes.Bytes(type);
  const size_t wanted = info->ifa_family == AF_INET    ? 4
                        : info->ifa_family == AF_INET6 ? 16
                                                       : 0;
  if (wanted == 0 || bytes.size() != wanted) return std::nullopt;
  LinkAddress address;
  address.link = static_cast<int>(info->ifa_index);
  address.prefix.address = IpAddress::FromBytes(info->ifa_family, bytes.data());
  address.prefix.length = info->ifa_prefixlen;
  address.flags = attributes.U32(IFA_FLAGS, info->ifa_flags);
  return address;
}

}  // namespace

Request AddAddress(int link, const IpPrefix& prefix) {
  ifaddrmsg header = Header(link, prefix);
  const bool ipv4 = prefix.address.family() == AF_INET;
  if (!ipv4) header.ifa_flags = IFA_F_NODAD;
  Request request(absl::StrCat("adding address ", prefix.ToString()),
                  RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, header);
  request.Bytes(IFA_LOCAL, prefix.address.data(), prefix.address.size());
  request.Bytes(IFA_ADDRESS, prefix.address.data(), prefix.address.size());
  if (ipv4 && prefix.length < 31) {
    const IpAddress broadcast = BroadcastOf(prefix);
    request.Bytes(IFA_BROADCAST, broadcast.data(), broadcast.size());
  }
  return request;
}

Request AddAddressAlone(int link, const IpPrefix& prefix) {
  Request request = AddAddress(link, prefix);
  const uint32_t nodad = prefix.address.family() == AF_INET ? 0 : IFA_F_NODAD;
  // Counts instead of the header's, which has eight bits.
  request.U32(IFA_FLAGS, IFA_F_NOPREFIXROUTE | nodad);
  return request;
}

Request DeleteAddress(int link, const IpPrefix& prefix) {
  Request request(absl::StrCat("deleting address ", prefix.ToString()),
                  RTM_DELADDR, 0, Header(link, prefix));
  request.Bytes(IFA_LOCAL, prefix.address.data(), prefix.address.size());
  request.Bytes(IFA_ADDRESS, prefix.address.data(), prefix.address.size());
  return request;
}

absl::StatusOr<std::vector<LinkAddress>> ListAddresses(NetlinkSocket& socket) {
  std::vector<LinkAddress> addresses;
  RETURN_IF_ERROR(socket.Query(
      Request("listing addresses", RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{}),
      [&](const nlmsghdr* message) {
        if (message->nlmsg_type != RTM_NEWADDR ||
            message->nlmsg_len < NLMSG_LENGTH(sizeof(ifaddrmsg))) {
          return;
        }
        if (auto address = ParseAddress(message)) addresses.push_back(*address);
      },
      [&] { addresses.clear(); }));
  return addresses;
}

}  // namespace warren::netplugin
