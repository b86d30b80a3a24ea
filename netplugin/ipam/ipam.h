#ifndef WARREN_NETPLUGIN_IPAM_IPAM_H_
#define WARREN_NETPLUGIN_IPAM_IPAM_H_

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
#include "netplugin/ipam/lease.h"
#include "runtime/base/clock.h"

namespace warren::netplugin {

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

  const IpPrefix& range() const { return range_; }
  uint64_t capacity() const { return last_ - first_ + 1; }
  size_t held() const { return held_.size(); }

 private:
  struct Resting {
    uint64_t offset;
    int64_t until;  // monotonic ns
  };

  std::optional<uint64_t> OffsetOf(const IpAddress& address) const;
  void WakeRested();
  uint64_t NextFree();

  const IpPrefix range_;
  const base::Clock* const clock_;
  const int64_t cool_down_ns_;
  uint64_t first_;  // offsets from the range's network address, inclusive
  uint64_t last_;
  uint64_t next_;
  absl::flat_hash_map<uint64_t, std::string> held_;
  std::deque<Resting> resting_;  // in order of release
  absl::flat_hash_set<uint64_t> resting_offsets_;
};

// Leases over the pod ranges, one address of each. Lives in memory only: after
// a restart the leases come back by Adopt. Thread-compatible.
class Ipam {
 public:
  Ipam(const base::Clock* clock, absl::Duration cool_down)
      : clock_(clock), cool_down_(cool_down) {}

  // Valid ranges (ValidateRanges). kFailedPrecondition while leases exist,
  // unless the ranges stay the same. Forgets what was resting.
  absl::Status SetRanges(const std::vector<IpPrefix>& ranges);
  std::vector<IpPrefix> ranges() const;

  // The lease of `sandbox_id`, a new one if it has none. `wanted` holds at most
  // one address of each range, which is then the one of that range. Nothing is
  // taken on an error: kResourceExhausted when a range is full (naming it),
  // kAlreadyExists when a wanted address belongs to another pod or the sandbox
  // holds a lease without it, kFailedPrecondition when it is of no range.
  absl::StatusOr<Lease> Allocate(const std::string& sandbox_id,
                                 const std::vector<IpAddress>& wanted = {});
  // Re-takes a lease from a record; idempotent. All or nothing.
  absl::Status Adopt(const Lease& lease);
  // Gives back the lease of that sandbox if it is this one; else nothing.
  void Release(const Lease& lease);

  // The lease a sandbox holds now.
  std::optional<Lease> Find(const std::string& sandbox_id) const;
  std::vector<Lease> Leases() const;

 private:
  absl::StatusOr<Lease> TakeOneOfEach(const std::string& sandbox_id,
                                      const std::vector<IpAddress>& wanted);

  const base::Clock* const clock_;
  const absl::Duration cool_down_;
  std::vector<AddressPool> pools_;
  absl::flat_hash_map<std::string, Lease> leases_;
};

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_IPAM_IPAM_H_
