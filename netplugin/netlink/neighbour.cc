#include "netplugin/netlink/neighbour.h"

#include <absl/strings/str_cat.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace warren::netplugin {
namespace {

// NTF_STICKY, of Linux 4.20: other ports cannot take the entry over. Older
// kernels do not look at the bit.
constexpr uint8_t kSticky = 1 << 6;

ndmsg Header(int family, int link, uint16_t state, uint8_t flags) {
  ndmsg header = {};
  header.ndm_family = static_cast<uint8_t>(family);
  header.ndm_ifindex = link;
  header.ndm_state = state;
  header.ndm_flags = flags;
  return header;
}

}  // namespace

Request AddStaticForwarding(int port, const MacAddress& mac) {
  Request request(absl::StrCat("adding ", FormatMac(mac), " to port ", port),
                  RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE,
                  Header(AF_BRIDGE, port, NUD_NOARP, NTF_MASTER | kSticky));
  request.Bytes(NDA_LLADDR, mac.data(), mac.size());
  return request;
}

Request AddPermanentNeighbour(int link, const IpAddress& address,
                              const MacAddress& mac) {
  Request request(absl::StrCat("adding the neighbour ", address.ToString()),
                  RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE,
                  Header(address.family(), link, NUD_PERMANENT, 0));
  request.Bytes(NDA_DST, address.data(), address.size());
  request.Bytes(NDA_LLADDR, mac.data(), mac.size());
  return request;
}

Request DeleteNeighbour(int link, const IpAddress& address) {
  Request request(absl::StrCat("deleting the neighbour ", address.ToString()),
                  RTM_DELNEIGH, 0, Header(address.family(), link, 0, 0));
  request.Bytes(NDA_DST, address.data(), address.size());
  return request;
}

Request AskForNoNeighbours(int link, int family) {
  ndtmsg header = {};
  header.ndtm_family = static_cast<uint8_t>(family);
  Request request(absl::StrCat("turning off address requests of link ", link),
                  RTM_SETNEIGHTBL, 0, header);
  request.String(NDTA_NAME, family == AF_INET ? "arp_cache" : "ndisc_cache");
  request.Nest(NDTA_PARMS | NLA_F_NESTED, [&] {
    request.U32(NDTPA_IFINDEX, link);
    request.U32(NDTPA_MCAST_PROBES, 0);
  });
  return request;
}

}  // namespace warren::netplugin
