#include "netplugin/ipam/address_pool.h"

#include <absl/strings/str_cat.h>
#include <sys/socket.h>

#include <algorithm>

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

}  // namespace

std::vector<IpAddress> ReservedOf(const IpPrefix& range) {
  const IpAddress network = range.Masked().address;
  std::vector<IpAddress> reserved = {network, network.Plus(1)};
  if (network.family() == AF_INET) {
    reserved.push_back(network.Plus(LastPodOffset(range) + 1));
  }
  return reserved;
}

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
  const auto rested = std::find_if(
      resting_.begin(), resting_.end(),
      [&](const Resting& r) { return !spared_.contains(r.offset); });
  if (CountFree() > 0) {
    offset = NextFree();
  } else if (rested != resting_.end()) {
    offset = rested->offset;
    resting_.erase(rested);
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

bool AddressPool::IsFree(uint64_t offset) const {
  return !held_.contains(offset) && !resting_offsets_.contains(offset) &&
         !spared_.contains(offset);
}

uint64_t AddressPool::CountFree() const {
  const auto spare =
      std::count_if(spared_.begin(), spared_.end(), [&](uint64_t offset) {
        return !held_.contains(offset) && !resting_offsets_.contains(offset);
      });
  return capacity() - held_.size() - resting_.size() - spare;
}

// Called only while some address is free.
uint64_t AddressPool::NextFree() const {
  uint64_t offset = next_;
  while (!IsFree(offset)) offset = offset == last_ ? first_ : offset + 1;
  return offset;
}

void AddressPool::Spare(const std::vector<IpAddress>& addresses) {
  spared_.clear();
  for (const IpAddress& address : addresses) {
    const std::optional<uint64_t> offset = OffsetOf(address);
    if (offset) spared_.insert(*offset);
  }
}

bool AddressPool::Spares(const IpAddress& address) const {
  const std::optional<uint64_t> offset = OffsetOf(address);
  return offset && spared_.contains(*offset);
}

}  // namespace warren::netplugin
