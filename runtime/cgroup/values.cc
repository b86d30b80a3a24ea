#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/cgroup/driver.h"

namespace warren::runtime {
namespace {

constexpr int64_t kUnlimited = -1;
constexpr int64_t kDefaultPeriodUs = 100'000;  // kernel/sched/fair.c

std::string OrMax(int64_t value) {
  return value == kUnlimited ? "max" : absl::StrCat(value);
}

// The kernel spells page sizes "2MB", "1GB", "64KB"; anything else cannot be
// the name of a file of the controller.
bool IsPageSize(absl::string_view text) {
  const size_t digits = text.find_first_not_of("0123456789");
  return digits != 0 && digits != absl::string_view::npos &&
         (text.substr(digits) == "KB" || text.substr(digits) == "MB" ||
          text.substr(digits) == "GB");
}

// Only names a controller could have: nothing that leads elsewhere.
bool IsControlFile(absl::string_view name) {
  return !name.empty() && name[0] != '.' &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyz"
             "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
             "0123456789._-") == absl::string_view::npos &&
         absl::StrContains(name, ".") && !absl::StartsWith(name, "cgroup.");
}

// Collects values; a later one for the same file replaces the earlier.
class Values {
 public:
  void Add(absl::string_view file, std::string value, absl::string_view field,
           bool best_effort = false) {
    std::erase_if(values_,
                  [&](const ControlValue& v) { return v.file == file; });
    values_.push_back({std::string(file.substr(0, file.find('.'))),
                       std::string(file), std::move(value), std::string(field),
                       best_effort});
  }
  std::vector<ControlValue> Take() { return std::move(values_); }

 private:
  std::vector<ControlValue> values_;
};

// Memory plus swap cannot be below memory alone, nor limited without it.
absl::Status CheckSwap(const Resources& r) {
  if (r.memory_swap_limit_bytes > 0 &&
      (r.memory_limit_bytes <= 0 ||
       r.memory_swap_limit_bytes < r.memory_limit_bytes)) {
    return absl::InvalidArgumentError(
        "memory_swap_limit_in_bytes: is memory plus swap, must not be below "
        "memory_limit_in_bytes and needs it");
  }
  return absl::OkStatus();
}

absl::Status AddHugepages(const Resources& r, absl::string_view suffix,
                          Values* values) {
  for (const auto& [size, bytes] : r.hugepage_limits) {
    if (!IsPageSize(size)) {
      return absl::InvalidArgumentError(
          "hugepage_limits: page_size is not like \"2MB\"");
    }
    values->Add(absl::StrCat("hugetlb.", size, suffix), absl::StrCat(bytes),
                "hugepage_limits", /*best_effort=*/true);
  }
  return absl::OkStatus();
}

void AddV2Memory(const Resources& r, Values* values) {
  if (r.memory_limit_bytes != 0) {
    values->Add("memory.max", OrMax(r.memory_limit_bytes),
                "memory_limit_in_bytes");
  }
  const int64_t swap = r.memory_swap_limit_bytes;
  if (swap > 0) {
    values->Add("memory.swap.max", absl::StrCat(swap - r.memory_limit_bytes),
                "memory_swap_limit_in_bytes");
  } else if (swap == kUnlimited || r.memory_limit_bytes == kUnlimited) {
    // Without accounting it is without a limit already.
    values->Add("memory.swap.max", "max", "memory_swap_limit_in_bytes", true);
  } else if (r.memory_limit_bytes > 0) {
    values->Add("memory.swap.max", "0", "memory_swap_limit_in_bytes", true);
  }
}

}  // namespace

uint64_t CpuWeightFromShares(int64_t shares) {
  if (shares == 0) return 0;
  if (shares <= 2) return 1;
  if (shares >= 262144) return 10000;
  const double l = std::log2(static_cast<double>(shares));
  const double exponent = (l * l + 125 * l) / 612.0 - 7.0 / 34.0;
  return static_cast<uint64_t>(std::ceil(std::pow(10, exponent)));
}

absl::StatusOr<std::vector<ControlValue>> V2Values(const Resources& r) {
  RETURN_IF_ERROR(CheckSwap(r));
  Values values;
  if (r.cpu_shares != 0) {
    values.Add("cpu.weight", absl::StrCat(CpuWeightFromShares(r.cpu_shares)),
               "cpu_shares");
  }
  if (r.cpu_quota_us != 0 || r.cpu_period_us != 0) {
    const int64_t period =
        r.cpu_period_us != 0 ? r.cpu_period_us : kDefaultPeriodUs;
    values.Add(
        "cpu.max",
        absl::StrCat(r.cpu_quota_us > 0 ? absl::StrCat(r.cpu_quota_us) : "max",
                     " ", period),
        "cpu_quota");
  }
  if (!r.cpuset_cpus.empty()) {
    values.Add("cpuset.cpus", r.cpuset_cpus, "cpuset_cpus");
  }
  if (!r.cpuset_mems.empty()) {
    values.Add("cpuset.mems", r.cpuset_mems, "cpuset_mems");
  }
  AddV2Memory(r, &values);
  if (r.pids_limit != 0) {
    values.Add("pids.max", OrMax(r.pids_limit), "pids_limit");
  }
  RETURN_IF_ERROR(AddHugepages(r, ".max", &values));
  for (const auto& [file, value] : r.unified) {
    if (!IsControlFile(file)) {
      return absl::InvalidArgumentError(
          "unified: a key is not the name of a controller's file");
    }
    values.Add(file, value, "unified");
  }
  return values.Take();
}

absl::StatusOr<std::vector<ControlValue>> V1Values(const Resources& r) {
  RETURN_IF_ERROR(CheckSwap(r));
  for (const auto& [file, value] : r.unified) {
    if (file == kPidsMax) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("unified: \"", file.substr(0, 64),
                     "\" needs cgroup v2, which this node does not have"));
  }
  Values values;
  if (r.cpu_shares != 0) {
    values.Add("cpu.shares",
               absl::StrCat(std::clamp<int64_t>(r.cpu_shares, 2, 262144)),
               "cpu_shares");
  }
  if (r.cpu_period_us != 0) {
    values.Add("cpu.cfs_period_us", absl::StrCat(r.cpu_period_us),
               "cpu_period");
  }
  if (r.cpu_quota_us != 0) {
    values.Add("cpu.cfs_quota_us", absl::StrCat(r.cpu_quota_us), "cpu_quota");
  }
  if (!r.cpuset_cpus.empty()) {
    values.Add("cpuset.cpus", r.cpuset_cpus, "cpuset_cpus");
  }
  if (!r.cpuset_mems.empty()) {
    values.Add("cpuset.mems", r.cpuset_mems, "cpuset_mems");
  }
  if (r.memory_limit_bytes != 0) {
    values.Add("memory.limit_in_bytes", absl::StrCat(r.memory_limit_bytes),
               "memory_limit_in_bytes");
  }
  // A kernel without swap accounting has no such file.
  if (r.memory_swap_limit_bytes != 0) {
    values.Add("memory.memsw.limit_in_bytes",
               absl::StrCat(r.memory_swap_limit_bytes),
               "memory_swap_limit_in_bytes",
               /*best_effort=*/r.memory_swap_limit_bytes == kUnlimited);
  } else if (r.memory_limit_bytes != 0) {
    values.Add("memory.memsw.limit_in_bytes",
               absl::StrCat(r.memory_limit_bytes), "memory_swap_limit_in_bytes",
               /*best_effort=*/true);
  }
  if (r.pids_limit != 0) {
    values.Add("pids.max", OrMax(r.pids_limit), "pids_limit");
  }
  RETURN_IF_ERROR(AddHugepages(r, ".limit_in_bytes", &values));
  if (const auto pids = r.unified.find(kPidsMax); pids != r.unified.end()) {
    values.Add(kPidsMax, pids->second, "unified");
  }
  return values.Take();
}

}  // namespace warren::runtime
