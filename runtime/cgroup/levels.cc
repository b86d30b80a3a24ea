#include "runtime/cgroup/levels.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/string_view.h>

#include <algorithm>
#include <array>
#include <utility>

#include "runtime/cgroup/update.h"

namespace warren::runtime {
namespace {

constexpr char kPeriod[] = "cpu.cfs_period_us";
constexpr char kQuota[] = "cpu.cfs_quota_us";
constexpr char kMemory[] = "memory.limit_in_bytes";
constexpr char kMemorySwap[] = "memory.memsw.limit_in_bytes";

// Files that the kernel checks together.
using FilePair = std::array<const char*, 2>;
constexpr FilePair kTimePair = {kPeriod, kQuota};
constexpr FilePair kMemoryPair = {kMemory, kMemorySwap};

bool IsOf(const FilePair& pair, absl::string_view file) {
  return file == pair[0] || file == pair[1];
}

// What is no number is no limit: "max", -1, a file that cannot be read.
int64_t LimitNumber(const std::string& text) {
  int64_t number = 0;
  return absl::SimpleAtoi(text, &number) && number >= 0 ? number : INT64_MAX;
}

void OrderAt(Level level, ReadLevel now, std::vector<ControlValue>* values) {
  OrderV1(LimitNumber(now(level, kMemorySwap)),
          LimitNumber(now(level, kPeriod)), values);
}

void AddAll(Level level, const std::vector<ControlValue>& values,
            std::vector<LevelWrite>* plan) {
  for (const ControlValue& value : values) plan->push_back({level, value});
}

std::vector<ControlValue> PartOf(const FilePair& pair,
                                 const std::vector<ControlValue>& values) {
  std::vector<ControlValue> found;
  for (const ControlValue& value : values) {
    if (IsOf(pair, value.file)) found.push_back(value);
  }
  return found;
}

// Both files of the pair: what `outer` makes of the leaf, or else what it has.
std::vector<ControlValue> CopyOf(const FilePair& pair,
                                 const std::vector<ControlValue>& outer,
                                 ReadLevel now) {
  std::vector<ControlValue> copy;
  for (const char* file : pair) {
    const auto changed =
        std::find_if(outer.begin(), outer.end(),
                     [&](const ControlValue& v) { return v.file == file; });
    if (changed != outer.end()) {
      copy.push_back(*changed);
      continue;
    }
    std::string has = now(Level::kOuter, file);
    if (has.empty()) continue;  // no accounting of swap
    copy.push_back(outer.front());
    copy.back().file = file;
    copy.back().value = std::move(has);
  }
  return copy;
}

void PlanTime(const std::vector<ControlValue>& changed, ReadLevel now,
              std::vector<LevelWrite>* plan) {
  const std::vector<ControlValue> outer = PartOf(kTimePair, changed);
  ControlValue unlimited = outer.front();
  unlimited.file = kQuota;
  unlimited.value = "-1";
  plan->push_back({Level::kInner, std::move(unlimited)});
  AddAll(Level::kOuter, outer, plan);
  AddAll(Level::kInner, CopyOf(kTimePair, outer, now), plan);
}

void PlanMemory(const std::vector<ControlValue>& changed, ReadLevel now,
                std::vector<LevelWrite>* plan) {
  const std::vector<ControlValue> outer = PartOf(kMemoryPair, changed);
  std::vector<ControlValue> inner = CopyOf(kMemoryPair, outer, now);
  OrderAt(Level::kInner, now, &inner);
  const ControlValue& first = outer.front();
  if (LimitNumber(first.value) < LimitNumber(now(Level::kOuter, first.file))) {
    AddAll(Level::kInner, inner, plan);
    AddAll(Level::kOuter, outer, plan);
  } else {
    AddAll(Level::kOuter, outer, plan);
    AddAll(Level::kInner, inner, plan);
  }
}

void PlanCpuset(const ControlValue& value, ReadLevel now,
                std::vector<LevelWrite>* plan) {
  const std::string has = now(Level::kOuter, value.file);
  if (!has.empty()) {
    // The kernel takes lists that overlap (bitmap_parselist of lib/bitmap.c).
    ControlValue both = value;
    both.value = absl::StrCat(has, ",", value.value);
    plan->push_back({Level::kOuter, std::move(both)});
  }
  plan->push_back({Level::kInner, value});
  plan->push_back({Level::kOuter, value});
}

void PlanSingle(const ControlValue& value, ReadLevel now,
                std::vector<LevelWrite>* plan) {
  const bool lower =
      LimitNumber(value.value) < LimitNumber(now(Level::kOuter, value.file));
  plan->push_back({lower ? Level::kInner : Level::kOuter, value});
  plan->push_back({lower ? Level::kOuter : Level::kInner, value});
}

}  // namespace

std::vector<LevelWrite> PlanOneLevel(std::vector<ControlValue> changed,
                                     ReadLevel now) {
  OrderAt(Level::kOuter, now, &changed);
  std::vector<LevelWrite> plan;
  AddAll(Level::kOuter, changed, &plan);
  return plan;
}

std::vector<LevelWrite> PlanBothLevels(std::vector<ControlValue> changed,
                                       ReadLevel now) {
  OrderAt(Level::kOuter, now, &changed);
  std::vector<LevelWrite> plan;
  bool time = false;
  bool memory = false;
  for (const ControlValue& value : changed) {
    if (IsOf(kTimePair, value.file)) {
      if (!std::exchange(time, true)) PlanTime(changed, now, &plan);
    } else if (IsOf(kMemoryPair, value.file)) {
      if (!std::exchange(memory, true)) PlanMemory(changed, now, &plan);
    } else if (absl::StartsWith(value.file, "cpuset.")) {
      PlanCpuset(value, now, &plan);
    } else {
      PlanSingle(value, now, &plan);
    }
  }
  return plan;
}

}  // namespace warren::runtime
