#ifndef WARREN_NETPLUGIN_NFT_RULES_H_
#define WARREN_NETPLUGIN_NFT_RULES_H_

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_set.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "netplugin/ip.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/nft/filter.h"
#include "netplugin/nft/pod_port.h"

namespace warren::netplugin {

// Warren's packet rules: a table "inet NAME" that masquerades what leaves the
// pod ranges and refuses what is for an address that no pod has (NET-7), and a
// table "bridge NAME" that lets a pod send from its own MAC and IP addresses
// only (NET-1). The rules are fixed; pods are elements of sets, so that the
// cost of a packet and of a change does not grow with them.
//
//   table inet NAME                      table bridge NAME
//    set ranges4/6, pods4/6               set ports4/6: link . MAC . address
//    chain postrouting (srcnat)           map macs4/6: address -> MAC
//     from a range, to none of them,      chain prerouting
//     not multicast: masquerade            from a link of our group: goto pod
//    chain prerouting, forward, output    chain pod
//     by our bridge, to a range,           IPv4, ARP, IPv6, neighbour adverts
//     to no pod: reject                    from what ports4/6 hold: goto to4/6
//     redirects to pods: drop              the rest, router adverts: drop
//                                         chain to4, to6
//                                          to a pod: its MAC as destination
//                                         chain input
//                                          from a link of our group, to
//                                          01:80:c2:00:00:0x: drop
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
  absl::Status SetRanges(const std::vector<IpPrefix>& ranges,
                         const std::vector<IpAddress>& own);
  // Idempotent, both; removing from tables that are gone is OK.
  absl::Status AddPod(const PodPort& port);
  absl::Status RemovePod(const PodPort& port);
  // Forgets the ports of these links.
  absl::Status DropPods(const absl::flat_hash_set<std::string>& ifnames);
  // One for each link and address that may send; none without the tables.
  absl::StatusOr<std::vector<PodPort>> Ports();
  // Links that have a port entry, each once.
  absl::StatusOr<std::vector<std::string>> Pods();
  // False when a table is missing. Waits for no other call: it asks through a
  // socket of its own, in the namespace of the calling thread.
  absl::StatusOr<bool> Present() const;
  // Packets between others than pods that were dropped since the last Ensure; 0
  // without the tables. Waits for no other call, as Present.
  absl::StatusOr<uint64_t> DroppedOthers() const;
  // Deletes both tables; missing ones are OK.
  absl::Status Remove();

 private:
  absl::Status Open() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status EnsureFilter(const SharedRules& shared)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::vector<PodPort>> PortsLocked()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes out of the set of pods what is neither a pod's nor in `own`:
  // addresses that a range had for itself, once it is gone.
  absl::Status DropStrangers(const std::vector<IpAddress>& own)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Elements that are not there are OK.
  absl::Status DeleteKeys(uint16_t family, const char* set,
                          const std::vector<std::string>& keys)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // From the map of MACs and the set of pods.
  absl::Status DeleteAddress(const IpAddress& address)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string table_;
  absl::Mutex mutex_;
  std::optional<NetlinkSocket> socket_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_NFT_RULES_H_
