#include "netplugin/ipam/ipam.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "netplugin/ipam/pod_ranges.h"
#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

constexpr int kMacBytes = 4;  // of an address that are in the pod's MAC address

bool Holds(const std::vector<IpPrefix>& prefixes, const IpAddress& address) {
  return std::any_of(
      prefixes.begin(), prefixes.end(),
      [&](const IpPrefix& prefix) { return prefix.address == address; });
}

// The address of `range` that would have the same MAC address.
IpAddress TwinIn(const IpPrefix& range, const IpAddress& address) {
  const IpAddress& base = range.address;
  uint8_t bytes[16];
  std::memcpy(bytes, base.data(), base.size());
  std::memcpy(bytes + base.size() - kMacBytes,
              address.data() + address.size() - kMacBytes, kMacBytes);
  return IpAddress::FromBytes(base.family(), bytes);
}

}  // namespace

absl::Status Ipam::SetRanges(const std::vector<IpPrefix>& wanted) {
  std::vector<IpPrefix> masked;
  masked.reserve(wanted.size());
  for (const IpPrefix& range : wanted) masked.push_back(range.Masked());
  if (masked == configured_) return absl::OkStatus();
  for (const IpPrefix& range : masked) RETURN_IF_ERROR(CheckReserved(range));
  configured_ = std::move(masked);
  for (const IpPrefix& range : configured_) InForce(range);
  for (const auto& [id, lease] : leases_) HoldTwin(lease);
  DropUnused();
  return absl::OkStatus();
}

std::vector<IpPrefix> Ipam::RangesInForce() const {
  std::vector<IpPrefix> ranges = configured_;
  for (const auto& [range, state] : in_force_) {
    if (!IsConfigured(range)) ranges.push_back(range);
  }
  return ranges;
}

void Ipam::Expect(const IpPrefix& range) {
  if (expecting_) InForce(range.Masked()).expected = true;
}

void Ipam::ExpectNoMore() {
  expecting_ = false;
  for (auto& [range, state] : in_force_) state.expected = false;
  DropUnused();
}

bool Ipam::IsConfigured(const IpPrefix& range) const {
  return std::find(configured_.begin(), configured_.end(), range) !=
         configured_.end();
}

// A range that is new has to know what others hold of it and need of it.
Ipam::Range& Ipam::InForce(const IpPrefix& range) {
  const auto [it, is_new] = in_force_.try_emplace(
      range, Range{AddressPool(range, clock_, cool_down_)});
  if (!is_new) return it->second;
  AddressPool& pool = it->second.pool;
  // Where the pool does not have the address it gives it to nobody either.
  for (const auto& [id, lease] : leases_) {
    for (const IpPrefix& prefix : lease.addresses) {
      pool.TakeExactly(prefix.address, id).IgnoreError();
    }
  }
  for (auto& [id, guarded] : guarded_) GuardIn(it->second, id, guarded);
  SpareReserved();
  return it->second;
}

void Ipam::DropUnused() {
  std::erase_if(in_force_, [&](const auto& entry) {
    return entry.second.users == 0 && !entry.second.expected &&
           !IsConfigured(entry.first);
  });
  SpareReserved();
}

void Ipam::SpareReserved() {
  for (auto& [range, state] : in_force_) {
    std::vector<IpAddress> spared;
    for (const auto& [other, other_state] : in_force_) {
      if (other == range) continue;
      const std::vector<IpAddress> reserved = ReservedOf(other);
      spared.insert(spared.end(), reserved.begin(), reserved.end());
    }
    state.pool.Spare(spared);
  }
}

absl::Status Ipam::CheckReserved(const IpPrefix& range) const {
  const std::vector<IpAddress> reserved = ReservedOf(range);
  const auto check = [&](const std::string& id, const IpAddress& address) {
    if (std::find(reserved.begin(), reserved.end(), address) ==
        reserved.end()) {
      return absl::OkStatus();
    }
    return absl::FailedPreconditionError(
        absl::StrCat(address.ToString(), ", which pod range ", range.ToString(),
                     " needs for itself, belongs to sandbox \"", id,
                     "\"; stop that pod first or choose another range"));
  };
  for (const auto& [id, lease] : leases_) {
    for (const IpPrefix& prefix : lease.addresses) {
      RETURN_IF_ERROR(check(id, prefix.address));
    }
  }
  for (const auto& [id, guarded] : guarded_) {
    for (const IpAddress& address : guarded.addresses) {
      RETURN_IF_ERROR(check(id, address));
    }
  }
  return absl::OkStatus();
}

absl::Status Ipam::Hold(const std::string& sandbox_id,
                        const IpAddress& address) {
  for (auto& [range, state] : in_force_) {
    if (!state.pool.IsForPods(address)) continue;
    RETURN_IF_ERROR(state.pool.TakeExactly(address, sandbox_id));
  }
  return absl::OkStatus();
}

void Ipam::Unhold(const std::string& sandbox_id, const IpAddress& address) {
  for (auto& [range, state] : in_force_) {
    state.pool.Return(address, sandbox_id);
  }
}

// Fails only when the twin is held as the second address of a pod, which is in
// no MAC address.
void Ipam::HoldTwin(const Lease& lease) {
  if (configured_.empty()) return;
  const auto first = in_force_.find(configured_.front());
  const IpAddress twin = TwinIn(first->first, lease.addresses.front().address);
  first->second.pool.TakeExactly(twin, lease.sandbox_id).IgnoreError();
}

// Enters a lease whose addresses are held.
void Ipam::Keep(const Lease& lease) {
  for (const IpPrefix& prefix : lease.addresses) {
    ++InForce(prefix.Masked()).users;
  }
  HoldTwin(lease);
  leases_[lease.sandbox_id] = lease;
}

absl::StatusOr<Lease> Ipam::Allocate(const std::string& sandbox_id,
                                     const std::vector<IpAddress>& wanted) {
  if (const auto it = leases_.find(sandbox_id); it != leases_.end()) {
    for (const IpAddress& address : wanted) {
      if (!Holds(it->second.addresses, address)) {
        return absl::AlreadyExistsError(
            absl::StrCat("sandbox \"", sandbox_id, "\" holds a lease without ",
                         address.ToString()));
      }
    }
    return it->second;
  }
  absl::StatusOr<Lease> lease = TakeOneOfEach(sandbox_id, wanted);
  if (!lease.ok()) return lease;
  for (const IpAddress& address : wanted) {
    if (Holds(lease->addresses, address)) continue;
    for (const IpPrefix& taken : lease->addresses) {
      Unhold(sandbox_id, taken.address);
    }
    return absl::FailedPreconditionError(absl::StrCat(
        address.ToString(), " is in none of the pod ranges, or one of two"));
  }
  Keep(*lease);
  return lease;
}

absl::StatusOr<IpAddress> Ipam::TakeOne(const std::string& sandbox_id,
                                        AddressPool& pool,
                                        const std::vector<IpAddress>& wanted) {
  const auto exact = std::find_if(
      wanted.begin(), wanted.end(),
      [&](const IpAddress& address) { return pool.range().Contains(address); });
  if (exact == wanted.end()) return pool.Take(sandbox_id);
  if (pool.Spares(*exact)) {
    return absl::FailedPreconditionError(absl::StrCat(
        exact->ToString(), " is needed by another range that pods live in"));
  }
  RETURN_IF_ERROR(pool.TakeExactly(*exact, sandbox_id));
  return *exact;
}

absl::StatusOr<Lease> Ipam::TakeOneOfEach(
    const std::string& sandbox_id, const std::vector<IpAddress>& wanted) {
  Lease lease{sandbox_id, {}};
  for (const IpPrefix& range : configured_) {
    const absl::StatusOr<IpAddress> address =
        TakeOne(sandbox_id, in_force_.at(range).pool, wanted);
    if (!address.ok()) {
      for (const IpPrefix& taken : lease.addresses) {
        Unhold(sandbox_id, taken.address);
      }
      return address.status();
    }
    // What somebody holds he holds in every range: this cannot fail.
    Hold(sandbox_id, *address).IgnoreError();
    lease.addresses.push_back({*address, range.length});
  }
  return lease;
}

absl::Status Ipam::Adopt(const Lease& lease) {
  const std::string& id = lease.sandbox_id;
  if (const auto it = leases_.find(id); it != leases_.end()) {
    if (it->second.addresses == lease.addresses) return absl::OkStatus();
    return absl::AlreadyExistsError(
        absl::StrCat("sandbox \"", id, "\" holds another lease"));
  }
  absl::Status status;
  for (const IpPrefix& prefix : lease.addresses) {
    const IpPrefix range = prefix.Masked();
    if (!ValidateRanges({range}).ok() ||
        !InForce(range).pool.IsForPods(prefix.address)) {
      base::Update(&status, absl::FailedPreconditionError(absl::StrCat(
                                prefix.ToString(),
                                " is an address that no pod range gives out")));
      continue;
    }
    base::Update(&status, Hold(id, prefix.address));
  }
  if (!status.ok()) {
    for (const IpPrefix& prefix : lease.addresses) Unhold(id, prefix.address);
    // That took back what is guarded, too.
    if (const auto it = guarded_.find(id); it != guarded_.end()) {
      Guard(id, std::vector<IpAddress>(it->second.addresses));
    }
    DropUnused();
    return status;
  }
  Keep(lease);
  Unguard(id);
  return absl::OkStatus();
}

void Ipam::Guard(const std::string& sandbox_id,
                 const std::vector<IpAddress>& addresses) {
  if (leases_.contains(sandbox_id)) return;
  Guarded guarded = {addresses, {}};
  for (auto& [range, state] : in_force_) GuardIn(state, sandbox_id, guarded);
  Unguard(sandbox_id);
  for (const IpPrefix& held : guarded.held) {
    // Unguard gave back what both have.
    in_force_.at(held.Masked())
        .pool.TakeExactly(held.address, sandbox_id)
        .IgnoreError();
  }
  guarded_[sandbox_id] = std::move(guarded);
}

void Ipam::GuardIn(Range& range, const std::string& sandbox_id,
                   Guarded& guarded) {
  for (const IpAddress& address : guarded.addresses) {
    if (range.pool.TakeExactly(address, sandbox_id).ok()) {
      ++range.users;
      guarded.held.push_back({address, range.pool.range().length});
    }
  }
}

void Ipam::Unguard(const std::string& sandbox_id) {
  const auto it = guarded_.find(sandbox_id);
  if (it == guarded_.end()) return;
  const auto lease = leases_.find(sandbox_id);
  for (const IpPrefix& held : it->second.held) {
    Range& range = in_force_.at(held.Masked());
    --range.users;
    if (lease == leases_.end() ||
        !Holds(lease->second.addresses, held.address)) {
      range.pool.Return(held.address, sandbox_id);
    }
  }
  guarded_.erase(it);
  DropUnused();
}

void Ipam::Release(const Lease& lease) {
  Unguard(lease.sandbox_id);
  const auto it = leases_.find(lease.sandbox_id);
  if (it == leases_.end() || it->second.addresses != lease.addresses) return;
  for (const IpPrefix& prefix : lease.addresses) {
    Unhold(lease.sandbox_id, prefix.address);
    --in_force_.at(prefix.Masked()).users;
  }
  for (auto& [range, state] : in_force_) {
    const IpAddress twin = TwinIn(range, lease.addresses.front().address);
    state.pool.Return(twin, lease.sandbox_id);
  }
  leases_.erase(it);
  DropUnused();
}

std::optional<Lease> Ipam::Find(const std::string& sandbox_id) const {
  const auto it = leases_.find(sandbox_id);
  if (it == leases_.end()) return std::nullopt;
  return it->second;
}

std::vector<Lease> Ipam::Leases() const {
  std::vector<Lease> leases;
  for (const auto& [id, lease] : leases_) leases.push_back(lease);
  return leases;
}

}  // namespace warren::netplugin
