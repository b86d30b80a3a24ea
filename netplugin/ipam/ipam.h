#ifndef WARREN_NETPLUGIN_IPAM_IPAM_H_
#define WARREN_NETPLUGIN_IPAM_IPAM_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "netplugin/ip.h"
#include "netplugin/ipam/address_pool.h"
#include "netplugin/ipam/lease.h"
#include "runtime/base/clock.h"

namespace warren::netplugin {

// Leases over the pod ranges, one address of each. Lives in memory only: after
// a restart the leases come back by Adopt. Thread-compatible.
//
// A range that is not configured any more is *retired*: it gives out nothing,
// and stays in force until its last lease is released. Ranges in force may
// overlap. No address is then leased twice, nobody gets an address that another
// range needs for itself, and no two leases agree in the last four bytes of
// their first address, from which the MAC address of a pod follows.
class Ipam {
 public:
  Ipam(const base::Clock* clock, absl::Duration cool_down)
      : clock_(clock), cool_down_(cool_down) {}

  // Where new leases come from; `ranges` are valid (ValidateRanges). Ranges of
  // before that have leases are retired. Nothing changes on an error:
  // kFailedPrecondition when a pod holds an address that one of `ranges` needs
  // for itself (network, gateway, broadcast), saying which and what to do.
  absl::Status SetRanges(const std::vector<IpPrefix>& ranges);
  const std::vector<IpPrefix>& ranges() const { return configured_; }
  // The configured ranges, then the retired ones. The kernel has to know both.
  std::vector<IpPrefix> RangesInForce() const;

  // For the time until every lease was adopted: `range` may have some, so it
  // is in force, leases or not, until ExpectNoMore().
  void Expect(const IpPrefix& range);
  void ExpectNoMore();
  bool expecting() const { return expecting_; }

  // The lease of `sandbox_id`, a new one if it has none. `wanted` holds at most
  // one address of each range, which is then the one of that range. Nothing is
  // taken on an error: kResourceExhausted when a range is full (naming it),
  // kAlreadyExists when a wanted address belongs to another pod or the sandbox
  // holds a lease without it, kFailedPrecondition when it is of no configured
  // range or another range in force needs it.
  absl::StatusOr<Lease> Allocate(const std::string& sandbox_id,
                                 const std::vector<IpAddress>& wanted = {});
  // Re-takes a lease from a record, of whatever range; idempotent. All or
  // nothing. kAlreadyExists when an address belongs to another pod,
  // kFailedPrecondition when no range could have given it out.
  absl::Status Adopt(const Lease& lease);
  // Nobody else gets these addresses of a sandbox whose lease is not known, and
  // the ranges that hold them stay in force, until it is adopted or released.
  // Nothing happens to a sandbox that holds a lease.
  void Guard(const std::string& sandbox_id,
             const std::vector<IpAddress>& addresses);
  // Gives back the lease of that sandbox if it is this one, and what is guarded
  // for it; else nothing. A retired range goes with its last lease.
  void Release(const Lease& lease);

  // The lease a sandbox holds now.
  std::optional<Lease> Find(const std::string& sandbox_id) const;
  std::vector<Lease> Leases() const;

 private:
  struct Range {
    AddressPool pool;
    size_t users = 0;  // addresses of leases of it, guarded ones in it
    bool expected = false;
  };
  struct Guarded {
    std::vector<IpAddress> addresses;
    std::vector<IpPrefix> held;  // with the length of the range it is held in
  };

  bool IsConfigured(const IpPrefix& range) const;
  Range& InForce(const IpPrefix& range);
  void DropUnused();
  void SpareReserved();
  absl::Status CheckReserved(const IpPrefix& range) const;
  // Everywhere: in each range that contains the address.
  absl::Status Hold(const std::string& sandbox_id, const IpAddress& address);
  void Unhold(const std::string& sandbox_id, const IpAddress& address);
  void HoldTwin(const Lease& lease);
  static void GuardIn(Range& range, const std::string& sandbox_id,
                      Guarded& guarded);
  void Unguard(const std::string& sandbox_id);
  void Keep(const Lease& lease);
  static absl::StatusOr<IpAddress> TakeOne(
      const std::string& sandbox_id, AddressPool& pool,
      const std::vector<IpAddress>& wanted);
  absl::StatusOr<Lease> TakeOneOfEach(const std::string& sandbox_id,
                                      const std::vector<IpAddress>& wanted);

  const base::Clock* const clock_;
  const absl::Duration cool_down_;
  std::vector<IpPrefix> configured_;
  std::map<IpPrefix, Range> in_force_;
  bool expecting_ = true;
  absl::flat_hash_map<std::string, Lease> leases_;
  absl::flat_hash_map<std::string, Guarded> guarded_;
};

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_IPAM_IPAM_H_
