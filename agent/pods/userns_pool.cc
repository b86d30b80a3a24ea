#include "agent/pods/userns_pool.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

namespace warren::agent {

UsernsPool::UsernsPool(IdSpan span)
    : span_(span), slots_(span.length / kRangeLength) {}

std::vector<size_t> UsernsPool::Touched(
    const std::vector<runtime::IdMapping>& uids,
    const std::vector<runtime::IdMapping>& gids) const {
  std::vector<size_t> touched;
  for (const auto* mappings : {&uids, &gids}) {
    for (const runtime::IdMapping& mapping : *mappings) {
      const uint64_t end = uint64_t{span_.start} + span_.length;
      const uint64_t from = std::max(mapping.host_id, span_.start);
      const uint64_t to =
          std::min(uint64_t{mapping.host_id} + mapping.length, end);
      if (from >= to) continue;
      const size_t last = (to - 1 - span_.start) / kRangeLength;
      for (size_t i = (from - span_.start) / kRangeLength; i <= last; ++i) {
        touched.push_back(i);
      }
    }
  }
  std::sort(touched.begin(), touched.end());
  touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
  return touched;
}

void UsernsPool::Hold(const std::string& sandbox_id, Holding holding) {
  ReleaseLocked(sandbox_id);
  for (const size_t place : holding.slots) {
    ++slots_[place].pods;
    if (holding.granted) ++slots_[place].grants;
  }
  holdings_[sandbox_id] = std::move(holding);
}

void UsernsPool::ReleaseLocked(const std::string& sandbox_id) {
  const auto found = holdings_.find(sandbox_id);
  if (found == holdings_.end()) return;
  for (const size_t place : found->second.slots) {
    --slots_[place].pods;
    if (found->second.granted) --slots_[place].grants;
  }
  holdings_.erase(found);
}

absl::StatusOr<runtime::IdMapping> UsernsPool::Grant(
    const std::string& sandbox_id) {
  const absl::MutexLock lock(&mutex_);
  if (const auto found = holdings_.find(sandbox_id);
      found != holdings_.end() && found->second.granted) {
    return found->second.mapping;
  }
  for (size_t i = 0; i < slots_.size(); ++i) {
    const size_t place = (next_ + i) % slots_.size();
    if (slots_[place].pods != 0) continue;
    next_ = place + 1;
    const auto offset = static_cast<uint32_t>(place * kRangeLength);
    const runtime::IdMapping mapping = {0, span_.start + offset, kRangeLength};
    Hold(sandbox_id, {{place}, true, mapping});
    return mapping;
  }
  return absl::ResourceExhaustedError(absl::StrCat(
      "all ", slots_.size(),
      " id ranges for user namespaces of pods are in use (userns_pool)"));
}

absl::Status UsernsPool::Claim(const std::string& sandbox_id,
                               const std::vector<runtime::IdMapping>& uids,
                               const std::vector<runtime::IdMapping>& gids) {
  std::vector<size_t> touched = Touched(uids, gids);
  const absl::MutexLock lock(&mutex_);
  for (const size_t place : touched) {
    if (slots_[place].grants == 0) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "config.linux.security_context.namespace_options.userns_options: "
        "host ids from ",
        span_.start + static_cast<uint32_t>(place * kRangeLength),
        " on belong to another pod, which was given them from userns_pool"));
  }
  Hold(sandbox_id, {std::move(touched), false, {}});
  return absl::OkStatus();
}

void UsernsPool::Restore(const std::string& sandbox_id,
                         const runtime::SandboxSpec& spec, bool granted) {
  if (spec.uid_mappings.empty()) return;
  std::vector<size_t> touched = Touched(spec.uid_mappings, spec.gid_mappings);
  const absl::MutexLock lock(&mutex_);
  if (granted && !touched.empty()) {
    next_ = std::max(next_, touched.back() + 1);
  }
  Hold(sandbox_id, {std::move(touched), granted, spec.uid_mappings[0]});
}

void UsernsPool::Release(const std::string& sandbox_id) {
  const absl::MutexLock lock(&mutex_);
  ReleaseLocked(sandbox_id);
}

}  // namespace warren::agent
