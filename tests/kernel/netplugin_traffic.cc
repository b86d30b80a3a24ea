#include "tests/kernel/netplugin_traffic.h"

#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "netplugin/netlink/netlink.h"
#include "netplugin/netlink/netns.h"
#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

// A lost first packet costs a second (retransmission of ARP, NDP, SYN).
constexpr int kTimeoutMs = 5000;

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress At(const IpAddress& address, int port) {
  SocketAddress out;
  if (address.family() == AF_INET) {
    auto* in = reinterpret_cast<sockaddr_in*>(&out.storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    std::memcpy(&in->sin_addr, address.data(), 4);
    out.size = sizeof(*in);
  } else {
    auto* in = reinterpret_cast<sockaddr_in6*>(&out.storage);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port);
    std::memcpy(&in->sin6_addr, address.data(), 16);
    out.size = sizeof(*in);
  }
  return out;
}

IpAddress AddressOf(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    return IpAddress::FromBytes(
        AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr);
  }
  return IpAddress::FromBytes(
      AF_INET6, &reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr);
}

absl::Status Wait(int fd, short events, const char* what) {
  pollfd poll_fd = {fd, events, 0};
  const int got = poll(&poll_fd, 1, kTimeoutMs);
  if (got == 0) return absl::DeadlineExceededError(what);
  return got < 0 ? base::ErrnoError(errno, what) : absl::OkStatus();
}

absl::StatusOr<base::UniqueFd> Listen(int netns, int family) {
  const IpAddress any = *IpAddress::Parse(family == AF_INET ? "0.0.0.0" : "::");
  ASSIGN_OR_RETURN(base::UniqueFd fd, SocketIn(netns, family, SOCK_STREAM, 0));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  SocketAddress address = At(any, kTestPort);
  if (bind(fd.get(), address.get(), address.size) != 0 ||
      listen(fd.get(), 1) != 0) {
    return base::ErrnoError(errno, "listen");
  }
  return fd;
}

absl::StatusOr<base::UniqueFd> Dial(int netns, const IpAddress& to) {
  ASSIGN_OR_RETURN(base::UniqueFd fd, SocketIn(netns, to.family(),
                                               SOCK_STREAM | SOCK_NONBLOCK, 0));
  SocketAddress address = At(to, kTestPort);
  if (connect(fd.get(), address.get(), address.size) != 0 &&
      errno != EINPROGRESS) {
    return base::ErrnoError(errno, "connect");
  }
  RETURN_IF_ERROR(Wait(fd.get(), POLLOUT, "connect"));
  int err = 0;
  socklen_t size = sizeof(err);
  getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &err, &size);
  if (err != 0) return base::ErrnoError(err, "connect");
  return fd;
}

std::string Bytes(const void* data, size_t size) {
  return {static_cast<const char*>(data), size};
}
std::string Mac(const MacAddress& mac) { return Bytes(mac.data(), 6); }
std::string Ip(const IpAddress& ip) { return Bytes(ip.data(), ip.size()); }
std::string U16(uint16_t value) {
  const uint16_t order = htons(value);
  return Bytes(&order, 2);
}
std::string U32(uint32_t value) {
  const uint32_t order = htonl(value);
  return Bytes(&order, 4);
}

// RFC 1071.
uint16_t Checksum(const std::string& data) {
  uint32_t sum = 0;
  for (size_t i = 0; i < data.size(); i += 2) {
    sum += static_cast<uint8_t>(data[i]) << 8;
    if (i + 1 < data.size()) sum += static_cast<uint8_t>(data[i + 1]);
  }
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum;
}

// An ICMPv6 message (checksum field zero) in Ethernet and IPv6.
std::string Icmp6Frame(const MacAddress& mac, const MacAddress& to_mac,
                       const IpAddress& from, const IpAddress& to,
                       std::string message) {
  const std::string pseudo = Ip(from) + Ip(to) + U32(message.size()) + U32(58);
  message.replace(2, 2, U16(Checksum(pseudo + message)));
  return Mac(to_mac) + Mac(mac) + U16(ETH_P_IPV6) + U32(6u << 28) +
         U16(message.size()) + "\x3a\xff" + Ip(from) + Ip(to) + message;
}

}  // namespace

absl::StatusOr<base::UniqueFd> SocketIn(int netns_fd, int domain, int type,
                                        int protocol) {
  base::UniqueFd fd;
  RETURN_IF_ERROR(InNetns(netns_fd, [&] {
    fd.reset(socket(domain, type | SOCK_CLOEXEC, protocol));
    return fd.valid() ? absl::OkStatus() : base::ErrnoError(errno, "socket");
  }));
  return fd;
}

absl::StatusOr<std::string> TalkTcp(int client, int server,
                                    const IpAddress& to) {
  ASSIGN_OR_RETURN(const base::UniqueFd listener, Listen(server, to.family()));
  ASSIGN_OR_RETURN(const base::UniqueFd out, Dial(client, to));
  RETURN_IF_ERROR(Wait(listener.get(), POLLIN, "accept"));
  sockaddr_storage from = {};
  socklen_t size = sizeof(from);
  const base::UniqueFd in(accept4(
      listener.get(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC));
  if (!in.valid()) return base::ErrnoError(errno, "accept");
  for (const auto& [write_end, read_end] :
       {std::pair(out.get(), in.get()), std::pair(in.get(), out.get())}) {
    char byte = 'w';
    if (send(write_end, &byte, 1, MSG_NOSIGNAL) != 1) {
      return base::ErrnoError(errno, "send");
    }
    RETURN_IF_ERROR(Wait(read_end, POLLIN, "receive"));
    if (recv(read_end, &byte, 1, 0) != 1) {
      return base::ErrnoError(errno, "receive");
    }
  }
  return AddressOf(from).ToString();
}

absl::Status SendFrame(int netns_fd, const std::string& ifname,
                       absl::string_view frame) {
  ASSIGN_OR_RETURN(const base::UniqueFd fd,
                   SocketIn(netns_fd, AF_PACKET, SOCK_RAW, 0));
  NetlinkSocket* opened = nullptr;
  absl::StatusOr<NetlinkSocket> socket = absl::InternalError("not opened");
  RETURN_IF_ERROR(InNetns(netns_fd, [&] {
    socket = NetlinkSocket::Open(NETLINK_ROUTE);
    return socket.status();
  }));
  opened = &*socket;
  ASSIGN_OR_RETURN(const std::optional<Link> link, FindLink(*opened, ifname));
  if (!link) return absl::NotFoundError(ifname);
  sockaddr_ll to = {};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = link->index;
  to.sll_halen = ETH_ALEN;
  std::memcpy(to.sll_addr, frame.data(), ETH_ALEN);
  if (sendto(fd.get(), frame.data(), frame.size(), 0,
             reinterpret_cast<sockaddr*>(&to), sizeof(to)) < 0) {
    return base::ErrnoError(errno, "sendto");
  }
  return absl::OkStatus();
}

std::string ArpFrame(const MacAddress& mac, const IpAddress& address) {
  const MacAddress all = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  return Mac(all) + Mac(mac) + U16(ETH_P_ARP) + U16(1) + U16(ETH_P_IP) +
         "\x06\x04" + U16(2) + Mac(mac) + Ip(address) + Mac(all) + Ip(address);
}

std::string UdpFrame(const MacAddress& from_mac, const MacAddress& to_mac,
                     const IpAddress& from, const IpAddress& to,
                     absl::string_view payload) {
  // A UDP checksum of 0 means none.
  const std::string udp = U16(9999) + U16(kTestPort) + U16(8 + payload.size()) +
                          U16(0) + std::string(payload);
  std::string header = "\x45" + std::string(1, '\0') + U16(20 + udp.size()) +
                       U32(0) + "\x40\x11" + U16(0) + Ip(from) + Ip(to);
  header.replace(10, 2, U16(Checksum(header)));
  return Mac(to_mac) + Mac(from_mac) + U16(ETH_P_IP) + header + udp;
}

std::string RouterAdvertFrame(const MacAddress& mac, const IpAddress& from) {
  const std::string advert =
      Bytes("\x86\0\0\0\x40\0", 6) + U16(1800) + U32(0) + U32(0);
  // Prefix information: on link and autonomous.
  const std::string prefix = Bytes("\x03\x04\x40\xc0", 4) + U32(3600) +
                             U32(3600) + U32(0) +
                             Ip(*IpAddress::Parse("2001:db8:bad::"));
  return Icmp6Frame(mac, {0x33, 0x33, 0, 0, 0, 1}, from,
                    *IpAddress::Parse("ff02::1"), advert + prefix);
}

std::string NeighbourAdvertFrame(const MacAddress& mac, const IpAddress& from,
                                 const IpAddress& to, const IpAddress& target) {
  // Override flag and a target link-layer address.
  const std::string advert =
      Bytes("\x88\0\0\0\x20\0\0\0", 8) + Ip(target) + "\x02\x01" + Mac(mac);
  return Icmp6Frame(mac, {0x33, 0x33, 0, 0, 0, 1}, from, to, advert);
}

std::vector<std::string> Neighbours(int netns_fd) {
  std::vector<std::string> lines;
  absl::StatusOr<NetlinkSocket> socket = absl::InternalError("not opened");
  const absl::Status opened = InNetns(netns_fd, [&] {
    socket = NetlinkSocket::Open(NETLINK_ROUTE);
    return socket.status();
  });
  if (!opened.ok()) return {opened.ToString()};
  const absl::Status status = socket->Query(
      Request("listing neighbours", RTM_GETNEIGH, NLM_F_DUMP, ndmsg{}),
      [&](const nlmsghdr* message) {
        if (message->nlmsg_type != RTM_NEWNEIGH) return;
        const Attributes attributes(message, sizeof(ndmsg), NDA_MAX);
        const absl::string_view ip = attributes.Bytes(NDA_DST);
        const absl::string_view mac = attributes.Bytes(NDA_LLADDR);
        if ((ip.size() != 4 && ip.size() != 16) || mac.size() != 6) return;
        MacAddress copy;
        std::memcpy(copy.data(), mac.data(), copy.size());
        lines.push_back(absl::StrCat(
            IpAddress::FromBytes(ip.size() == 4 ? AF_INET : AF_INET6, ip.data())
                .ToString(),
            " lladdr ", FormatMac(copy)));
      },
      [&] { lines.clear(); });
  if (!status.ok()) lines.push_back(status.ToString());
  return lines;
}

int UnansweredNeighbours(int netns_fd) {
  absl::StatusOr<NetlinkSocket> socket = absl::InternalError("not opened");
  const absl::Status opened = InNetns(netns_fd, [&] {
    socket = NetlinkSocket::Open(NETLINK_ROUTE);
    return socket.status();
  });
  if (!opened.ok()) return -1;
  int count = 0;
  const absl::Status status = socket->Query(
      Request("listing neighbours", RTM_GETNEIGH, NLM_F_DUMP, ndmsg{}),
      [&](const nlmsghdr* message) {
        if (message->nlmsg_type != RTM_NEWNEIGH) return;
        const auto* entry = static_cast<const ndmsg*>(NLMSG_DATA(message));
        if ((entry->ndm_state & NUD_INCOMPLETE) != 0) ++count;
      },
      [&] { count = 0; });
  return status.ok() ? count : -1;
}

std::vector<std::string> ForwardingTable() {
  std::vector<std::string> lines;
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open(NETLINK_ROUTE);
  if (!socket.ok()) return {socket.status().ToString()};
  ndmsg header = {};
  header.ndm_family = AF_BRIDGE;
  const absl::Status status = socket->Query(
      Request("listing a bridge", RTM_GETNEIGH, NLM_F_DUMP, header),
      [&](const nlmsghdr* message) {
        if (message->nlmsg_type != RTM_NEWNEIGH) return;
        const auto* entry = static_cast<const ndmsg*>(NLMSG_DATA(message));
        const Attributes attributes(message, sizeof(ndmsg), NDA_MAX);
        const absl::string_view mac = attributes.Bytes(NDA_LLADDR);
        const bool own = (entry->ndm_state & NUD_PERMANENT) != 0;
        if (mac.size() != 6 || own || !attributes.Has(NDA_MASTER)) return;
        MacAddress copy;
        std::memcpy(copy.data(), mac.data(), copy.size());
        lines.push_back(absl::StrCat(
            FormatMac(copy), " port ", entry->ndm_ifindex,
            (entry->ndm_state & NUD_NOARP) != 0 ? " static" : " learned"));
      },
      [&] { lines.clear(); });
  if (!status.ok()) lines.push_back(status.ToString());
  std::sort(lines.begin(), lines.end());
  return lines;
}

std::string AnyFrame(const MacAddress& source, const MacAddress& to,
                     uint16_t type, absl::string_view content) {
  std::string frame = Mac(to) + Mac(source) + U16(type) + std::string(content);
  if (frame.size() < ETH_ZLEN) frame.resize(ETH_ZLEN);
  return frame;
}

}  // namespace warren::netplugin
