#include "tests/bench/floor_network.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace warren::bench {
namespace {

constexpr int kPrefix = 16;
constexpr int kLoopback = 1;  // index of lo in every new namespace
constexpr int kEth0 = 2;      // and of the first link made in it

// Netlink messages one behind the other in one buffer.
class Batch {
 public:
  // Starts a message with its fixed part.
  template <typename Fixed>
  void Begin(uint16_t type, uint16_t flags, const Fixed& fixed) {
    header_ = reinterpret_cast<nlmsghdr*>(buffer_ + used_);
    std::memset(header_, 0, NLMSG_HDRLEN);
    header_->nlmsg_type = type;
    header_->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    header_->nlmsg_len = NLMSG_HDRLEN;
    used_ += NLMSG_HDRLEN;
    Raw(&fixed, sizeof(fixed));
    ++messages_;
  }
  void Attribute(uint16_t type, const void* data, size_t size) {
    const rtattr attribute = {static_cast<uint16_t>(RTA_LENGTH(size)), type};
    Raw(&attribute, sizeof(attribute));
    Raw(data, size);
  }
  void Number(uint16_t type, uint32_t value) {
    Attribute(type, &value, sizeof(value));
  }
  void Text(uint16_t type, const char* text) {
    Attribute(type, text, std::strlen(text) + 1);
  }
  // Opens a nested attribute; pass the result to Close().
  size_t Open(uint16_t type) {
    const size_t at = used_;
    Attribute(type, nullptr, 0);
    return at;
  }
  void Close(size_t at) {
    reinterpret_cast<rtattr*>(buffer_ + at)->rta_len =
        static_cast<uint16_t>(used_ - at);
  }
  void Raw(const void* data, size_t size) {
    if (size > 0) std::memcpy(buffer_ + used_, data, size);
    used_ += NLMSG_ALIGN(size);
    header_->nlmsg_len = static_cast<uint32_t>(
        buffer_ + used_ - reinterpret_cast<char*>(header_));
  }
  // One sendmsg, then one acknowledgement for each message.
  void Send(int netlink, const char* what) {
    MustHold(send(netlink, buffer_, used_, 0) == static_cast<ssize_t>(used_),
             what);
    while (messages_ > 0) {
      alignas(nlmsghdr) char reply[8192];
      ssize_t left = recv(netlink, reply, sizeof(reply), 0);
      MustHold(left > 0, what);
      for (auto* h = reinterpret_cast<nlmsghdr*>(reply); NLMSG_OK(h, left);
           h = NLMSG_NEXT(h, left)) {
        if (h->nlmsg_type != NLMSG_ERROR) continue;
        errno = -static_cast<nlmsgerr*>(NLMSG_DATA(h))->error;
        MustHold(errno == 0, what);
        --messages_;
      }
    }
  }

 private:
  alignas(nlmsghdr) char buffer_[4096] = {};
  size_t used_ = 0;
  int messages_ = 0;
  nlmsghdr* header_ = nullptr;
};

ifinfomsg Link(int index, unsigned flags) {
  ifinfomsg message = {};
  message.ifi_index = index;
  message.ifi_flags = flags;
  message.ifi_change = flags;
  return message;
}

constexpr uint16_t kCreate = NLM_F_CREATE | NLM_F_EXCL;

void PutAddress(Batch* batch, int index, uint32_t address) {
  ifaddrmsg message = {};
  message.ifa_family = AF_INET;
  message.ifa_prefixlen = kPrefix;
  message.ifa_index = index;
  batch->Begin(RTM_NEWADDR, kCreate, message);
  batch->Number(IFA_LOCAL, address);
  batch->Number(IFA_ADDRESS, address);
}

}  // namespace

void MustHold(bool ok, const char* what) {
  if (ok) return;
  std::perror(what);
  std::exit(1);
}

int OpenNetlink() {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  MustHold(fd >= 0, "netlink socket");
  return fd;
}

int MakeBridge(int netlink, const char* name) {
  Batch batch;
  batch.Begin(RTM_NEWLINK, kCreate, Link(0, IFF_UP));
  batch.Text(IFLA_IFNAME, name);
  const size_t info = batch.Open(IFLA_LINKINFO);
  batch.Text(IFLA_INFO_KIND, "bridge");
  batch.Close(info);
  batch.Send(netlink, "make bridge");
  return static_cast<int>(if_nametoindex(name));
}

void MakeVeth(int netlink, const char* name, int bridge_index, int netns_fd) {
  Batch batch;
  batch.Begin(RTM_NEWLINK, kCreate, Link(0, IFF_UP));
  batch.Text(IFLA_IFNAME, name);
  batch.Number(IFLA_MASTER, bridge_index);
  const size_t info = batch.Open(IFLA_LINKINFO);
  batch.Text(IFLA_INFO_KIND, "veth");
  const size_t data = batch.Open(IFLA_INFO_DATA);
  const size_t peer = batch.Open(VETH_INFO_PEER);
  const ifinfomsg peer_link = Link(kEth0, 0);
  batch.Raw(&peer_link, sizeof(peer_link));
  batch.Text(IFLA_IFNAME, "eth0");
  batch.Number(IFLA_NET_NS_FD, netns_fd);
  batch.Close(peer);
  batch.Close(data);
  batch.Close(info);
  batch.Send(netlink, "make veth");
}

void ConfigurePod(int netlink, uint32_t address, uint32_t gateway) {
  Batch batch;
  batch.Begin(RTM_NEWLINK, 0, Link(kLoopback, IFF_UP));
  PutAddress(&batch, kEth0, address);
  batch.Begin(RTM_NEWLINK, 0, Link(kEth0, IFF_UP));
  rtmsg route = {};
  route.rtm_family = AF_INET;
  route.rtm_table = RT_TABLE_MAIN;
  route.rtm_protocol = RTPROT_STATIC;
  route.rtm_scope = RT_SCOPE_UNIVERSE;
  route.rtm_type = RTN_UNICAST;
  batch.Begin(RTM_NEWROUTE, kCreate, route);
  batch.Number(RTA_GATEWAY, gateway);
  batch.Send(netlink, "configure pod");
}

void AddAddress(int netlink, int index, uint32_t address) {
  Batch batch;
  PutAddress(&batch, index, address);
  batch.Send(netlink, "add address");
}

}  // namespace warren::bench
