#ifndef WARREN_NETPLUGIN_NFT_RULES_H_
#define WARREN_NETPLUGIN_NFT_RULES_H_

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_set.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>

#include <optional>
#include <string>
#include <vector>

#include "netplugin/ip.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/nft/pod_port.h"

namespace warren::netplugin {

// What the tables hold beside pods. A value.
struct SharedRules {
  uint32_t group = 0;            // of the links whose packets are filtered
  std::vector<IpPrefix> ranges;  // of pods; may overlap
  // Links that are filtered as well while they are not in the group yet.
  std::vector<std::string> moving = {};
};

// Warren's packet rules: a table "inet NAME" that masquerades what leaves the
// pod ranges, and a table "bridge NAME" that lets a pod send from its own MAC
// and IP addresses only (NET-1). The rules are fixed; pods are elements of
// sets, so that the cost of a packet and of a change does not grow with them.
//
//   table inet NAME                      table bridge NAME
//    set ranges4, ranges6                 set ports4: link . MAC . IPv4
//    chain postrouting (srcnat)           set ports6: link . MAC . IPv6
//     from a range, to none of them,      chain prerouting
//     not multicast: masquerade            from a link of our group: goto pod
//                                         chain pod
//                                          IPv4, ARP, IPv6, neighbour adverts
//                                          from what ports4/6 hold: accept
//                                          the rest, router adverts: drop
//
// All changes are transactions. Works on the network namespace of the thread
// that first uses it, whichever calls later. Errors carry errno. Blocks for the
// kernel and for another call's transaction: microseconds, milliseconds for
// thousands of pods. Thread-safe.
class PodRules {
 public:
  explicit PodRules(std::string table) : table_(std::move(table)) {}

  // Makes or repairs both tables; pods stay.
  absl::Status Ensure(const SharedRules& shared);
  // Other ranges in tables that are there; OK when they are not.
  absl::Status SetRanges(const std::vector<IpPrefix>& ranges);
  // Idempotent, both; removing from tables that are gone is OK.
  absl::Status AddPod(const PodPort& port);
  absl::Status RemovePod(const PodPort& port);
  // Forgets the ports of these links.
  absl::Status DropPods(const absl::flat_hash_set<std::string>& ifnames);
  // One for each link and address that may send, without the MAC; none without
  // the tables.
  absl::StatusOr<std::vector<PodPort>> Ports();
  // Links that have a port entry, each once.
  absl::StatusOr<std::vector<std::string>> Pods();
  // False when a table is missing. Waits for no other call: it asks through a
  // socket of its own, in the namespace of the calling thread.
  absl::StatusOr<bool> Present() const;
  // Deletes both tables; missing ones are OK.
  absl::Status Remove();

 private:
  absl::Status Open() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status DeletePorts(const char* set,
                           const std::vector<std::string>& keys)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string table_;
  absl::Mutex mutex_;
  std::optional<NetlinkSocket> socket_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_NFT_RULES_H_
