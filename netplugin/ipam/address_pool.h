#ifndef WARREN_NETPLUGIN_IPAM_ADDRESS_POOL_H_
#define WARREN_NETPLUGIN_IPAM_ADDRESS_POOL_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "netplugin/ip.h"
#include "runtime/base/clock.h"

namespace warren::netplugin {

// What `range` needs for itself: the network address, the gateway, the IPv4
// broadcast address. Pure.
std::vector<IpAddress> ReservedOf(const IpPrefix& range);

// The addresses of one range: next fit, so that an address rests as long as
// the range allows, and no sooner than a cool-down after its release, so that
// peers forget it first. Only when nothing else is left is the one that rested
// longest given out early. The network address, the gateway (the first host
// address) and the IPv4 broadcast address are never given out. Of a wide IPv6
// range the first 2^32 addresses are used. Thread-compatible.
class AddressPool {
 public:
  AddressPool(const IpPrefix& range, const base::Clock* clock,
              absl::Duration cool_down);

  // kResourceExhausted when every address is held.
  absl::StatusOr<IpAddress> Take(const std::string& owner);
  // Takes this very address. OK when `owner` has it already, kAlreadyExists
  // when somebody else has, kFailedPrecondition when it is not of this pool.
  absl::Status TakeExactly(const IpAddress& address, const std::string& owner);
  // Starts the cool-down; nothing happens unless `owner` holds it.
  void Return(const IpAddress& address, const std::string& owner);

  // Take gives none of these: other ranges need them. Replaces those of the
  // last call.
  void Spare(const std::vector<IpAddress>& addresses);
  bool Spares(const IpAddress& address) const;
  bool IsForPods(const IpAddress& address) const {
    return OffsetOf(address).has_value();
  }

  const IpPrefix& range() const { return range_; }
  uint64_t capacity() const { return last_ - first_ + 1; }

 private:
  struct Resting {
    uint64_t offset;
    int64_t until;  // monotonic ns
  };

  std::optional<uint64_t> OffsetOf(const IpAddress& address) const;
  void WakeRested();
  bool IsFree(uint64_t offset) const;
  uint64_t CountFree() const;
  uint64_t NextFree() const;

  const IpPrefix range_;
  const base::Clock* const clock_;
  const int64_t cool_down_ns_;
  uint64_t first_;  // offsets from the range's network address, inclusive
  uint64_t last_;
  uint64_t next_;
  absl::flat_hash_map<uint64_t, std::string> held_;
  std::deque<Resting> resting_;  // in order of release
  absl::flat_hash_set<uint64_t> resting_offsets_;
  absl::flat_hash_set<uint64_t> spared_;
};

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_IPAM_ADDRESS_POOL_H_
