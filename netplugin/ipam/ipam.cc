#include "netplugin/ipam/ipam.h"

#include <absl/strings/str_cat.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

constexpr int kMaxPoolBits = 32;
constexpr uint64_t kFirstPodOffset = 2;  // 0 = network, 1 = gateway

uint64_t LastPodOffset(const IpPrefix& range) {
  const int bits = std::min(range.address.bits() - range.length, kMaxPoolBits);
  const uint64_t last = (uint64_t{1} << bits) - 1;
  return range.address.family() == AF_INET ? last - 1 : last;
}

// The low 64 bits of an address as a number.
uint64_t LowBits(const IpAddress& address) {
  uint64_t value = 0;
  for (int i = std::max(0, address.size() - 8); i < address.size(); ++i) {
    value = value << 8 | address.data()[i];
  }
  return value;
}

bool Holds(const std::vector<IpPrefix>& prefixes, const IpAddress& address) {
  return std::any_of(
      prefixes.begin(), prefixes.end(),
      [&](const IpPrefix& prefix) { return prefix.address == address; });
}

}  // namespace

AddressPool::AddressPool(const IpPrefix& range, const base::Clock* clock,
                         absl::Duration cool_down)
    : range_(range.Masked()),
      clock_(clock),
      cool_down_ns_(absl::ToInt64Nanoseconds(cool_down)),
      first_(kFirstPodOffset),
      last_(LastPodOffset(range)),
      next_(kFirstPodOffset) {}

absl::StatusOr<IpAddress> AddressPool::Take(const std::string& owner) {
  WakeRested();
  uint64_t offset = 0;
  if (held_.size() + resting_.size() < capacity()) {
    offset = NextFree();
  } else if (!resting_.empty()) {
    offset = resting_.front().offset;
    resting_.pop_front();
    resting_offsets_.erase(offset);
  } else {
    return absl::ResourceExhaustedError(
        absl::StrCat("pod range ", range_.ToString(), " is full: all ",
                     capacity(), " addresses are in use"));
  }
  held_[offset] = owner;
  next_ = offset == last_ ? first_ : offset + 1;
  return range_.address.Plus(offset);
}

absl::Status AddressPool::TakeExactly(const IpAddress& address,
                                      const std::string& owner) {
  const std::optional<uint64_t> offset = OffsetOf(address);
  if (!offset) {
    return absl::FailedPreconditionError(
        absl::StrCat(address.ToString(), " is not an address for pods in ",
                     range_.ToString()));
  }
  const auto [it, is_new] = held_.try_emplace(*offset, owner);
  if (!is_new && it->second != owner) {
    return absl::AlreadyExistsError(absl::StrCat(
        address.ToString(), " belongs to sandbox \"", it->second, "\""));
  }
  if (resting_offsets_.erase(*offset) > 0) {
    resting_.erase(
        std::find_if(resting_.begin(), resting_.end(),
                     [&](const Resting& r) { return r.offset == *offset; }));
  }
  return absl::OkStatus();
}

void AddressPool::Return(const IpAddress& address, const std::string& owner) {
  const std::optional<uint64_t> offset = OffsetOf(address);
  if (!offset) return;
  const auto it = held_.find(*offset);
  if (it == held_.end() || it->second != owner) return;
  held_.erase(it);
  resting_.push_back({*offset, clock_->MonotonicNow() + cool_down_ns_});
  resting_offsets_.insert(*offset);
}

std::optional<uint64_t> AddressPool::OffsetOf(const IpAddress& address) const {
  if (!range_.Contains(address)) return std::nullopt;
  const uint64_t offset = LowBits(address) - LowBits(range_.address);
  // The comparison of the addresses refuses what differs above 64 bits.
  if (offset < first_ || offset > last_ ||
      range_.address.Plus(offset) != address) {
    return std::nullopt;
  }
  return offset;
}

void AddressPool::WakeRested() {
  const int64_t now = clock_->MonotonicNow();
  while (!resting_.empty() && resting_.front().until <= now) {
    resting_offsets_.erase(resting_.front().offset);
    resting_.pop_front();
  }
}

// Called only while some address is neither held nor resting.
uint64_t AddressPool::NextFree() {
  uint64_t offset = next_;
  while (held_.contains(offset) || resting_offsets_.contains(offset)) {
    offset = offset == last_ ? first_ : offset + 1;
  }
  return offset;
}

absl::Status Ipam::SetRanges(const std::vector<IpPrefix>& wanted) {
  std::vector<IpPrefix> masked;
  masked.reserve(wanted.size());
  for (const IpPrefix& range : wanted) masked.push_back(range.Masked());
  if (masked == ranges()) return absl::OkStatus();
  if (!leases_.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        leases_.size(), " pods hold addresses of the present pod ranges"));
  }
  pools_.clear();
  for (const IpPrefix& range : masked) {
    pools_.emplace_back(range, clock_, cool_down_);
  }
  return absl::OkStatus();
}

std::vector<IpPrefix> Ipam::ranges() const {
  std::vector<IpPrefix> ranges;
  for (const AddressPool& pool : pools_) ranges.push_back(pool.range());
  return ranges;
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
    for (size_t i = 0; i < pools_.size(); ++i) {
      pools_[i].Return(lease->addresses[i].address, sandbox_id);
    }
    return absl::FailedPreconditionError(absl::StrCat(
        address.ToString(), " is in none of the pod ranges, or one of two"));
  }
  leases_[sandbox_id] = *lease;
  return lease;
}

absl::StatusOr<Lease> Ipam::TakeOneOfEach(
    const std::string& sandbox_id, const std::vector<IpAddress>& wanted) {
  Lease lease{sandbox_id, {}};
  for (AddressPool& pool : pools_) {
    const auto exact = std::find_if(wanted.begin(), wanted.end(),
                                    [&](const IpAddress& address) {
                                      return pool.range().Contains(address);
                                    });
    absl::StatusOr<IpAddress> address = absl::InternalError("not taken");
    if (exact == wanted.end()) {
      address = pool.Take(sandbox_id);
    } else if (absl::Status taken = pool.TakeExactly(*exact, sandbox_id);
               taken.ok()) {
      address = *exact;
    } else {
      address = std::move(taken);
    }
    if (!address.ok()) {
      for (size_t i = 0; i < lease.addresses.size(); ++i) {
        pools_[i].Return(lease.addresses[i].address, sandbox_id);
      }
      return address.status();
    }
    lease.addresses.push_back({*address, pool.range().length});
  }
  return lease;
}

absl::Status Ipam::Adopt(const Lease& lease) {
  if (const auto it = leases_.find(lease.sandbox_id); it != leases_.end()) {
    if (it->second.addresses == lease.addresses) return absl::OkStatus();
    return absl::AlreadyExistsError(
        absl::StrCat("sandbox \"", lease.sandbox_id, "\" holds another lease"));
  }
  absl::Status status;
  for (const IpPrefix& prefix : lease.addresses) {
    const auto pool = std::find_if(pools_.begin(), pools_.end(),
                                   [&](const AddressPool& pool) {
                                     return pool.range() == prefix.Masked();
                                   });
    base::Update(
        &status,
        pool != pools_.end()
            ? pool->TakeExactly(prefix.address, lease.sandbox_id)
            : absl::FailedPreconditionError(absl::StrCat(
                  prefix.ToString(), " is in none of the pod ranges")));
  }
  if (!status.ok()) {
    // What was taken above for this sandbox goes back.
    for (const IpPrefix& prefix : lease.addresses) {
      for (AddressPool& pool : pools_) {
        pool.Return(prefix.address, lease.sandbox_id);
      }
    }
    return status;
  }
  leases_[lease.sandbox_id] = lease;
  return absl::OkStatus();
}

void Ipam::Release(const Lease& lease) {
  const auto it = leases_.find(lease.sandbox_id);
  if (it == leases_.end() || it->second.addresses != lease.addresses) return;
  for (const IpPrefix& prefix : lease.addresses) {
    for (AddressPool& pool : pools_) {
      pool.Return(prefix.address, lease.sandbox_id);
    }
  }
  leases_.erase(it);
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
