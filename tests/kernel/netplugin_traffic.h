#ifndef WARREN_TESTS_KERNEL_NETPLUGIN_TRAFFIC_H_
#define WARREN_TESTS_KERNEL_NETPLUGIN_TRAFFIC_H_

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <string>
#include <vector>

#include "netplugin/ip.h"
#include "netplugin/netlink/link.h"
#include "runtime/base/unique_fd.h"

// Packets between network namespaces, made by the test itself.
namespace warren::netplugin {

inline constexpr int kTestPort = 8080;

// A TCP connection from `client` (a netns) to a server that listens in
// `server` on all addresses of the family of `to`, dialled as `to`; a byte
// goes each way. Returns the client's address as the server saw it. Fails
// after five seconds without an answer.
absl::StatusOr<std::string> TalkTcp(int client, int server,
                                    const IpAddress& to);

// Sockets of the namespace `netns_fd`.
absl::StatusOr<base::UniqueFd> SocketIn(int netns_fd, int domain, int type,
                                        int protocol);

// Sends a whole Ethernet frame from the link `ifname` of the namespace.
absl::Status SendFrame(int netns_fd, const std::string& ifname,
                       absl::string_view frame);

// A gratuitous ARP reply: `address` is at `mac`.
std::string ArpFrame(const MacAddress& mac, const IpAddress& address);
// UDP over IPv4 to kTestPort; `to_mac` is the next hop.
std::string UdpFrame(const MacAddress& from_mac, const MacAddress& to_mac,
                     const IpAddress& from, const IpAddress& to,
                     absl::string_view payload);
// A router advertisement with the prefix 2001:db8:bad::/64 and a router life
// of 30 minutes, from `from` to all nodes.
std::string RouterAdvertFrame(const MacAddress& mac, const IpAddress& from);
// A neighbour advertisement that `target` is at `mac`, from `from` to `to`.
std::string NeighbourAdvertFrame(const MacAddress& mac, const IpAddress& from,
                                 const IpAddress& to, const IpAddress& target);

// "10.88.0.1 lladdr aa:bb:…" of every neighbour a namespace knows.
std::vector<std::string> Neighbours(int netns_fd);

// Neighbours of a namespace that are asked for and have not answered.
int UnansweredNeighbours(int netns_fd);

// "aa:bb:… port 5 static" of every address that bridges of the node forward to
// a port; "learned" for those that traffic has taught them.
std::vector<std::string> ForwardingTable();

// `source` in a frame to `to` with this type (or length) and content.
std::string AnyFrame(const MacAddress& source, const MacAddress& to,
                     uint16_t type, absl::string_view content);

}  // namespace warren::netplugin

#endif  // WARREN_TESTS_KERNEL_NETPLUGIN_TRAFFIC_H_
