#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cmath>

#include "runtime/cgroup.h"

namespace warren::runtime {
namespace {

constexpr int64_t kUnlimited = -1;

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

absl::Status AddMemory(const Resources& r, ControlValues* values) {
  if (r.memory_limit_bytes != 0) {
    values->emplace_back("memory.max", OrMax(r.memory_limit_bytes));
  }
  if (r.memory_swap_limit_bytes == kUnlimited) {
    values->emplace_back("memory.swap.max", "max");
  } else if (r.memory_swap_limit_bytes > 0) {
    if (r.memory_limit_bytes <= 0 ||
        r.memory_swap_limit_bytes < r.memory_limit_bytes) {
      return absl::InvalidArgumentError(
          "memory_swap_limit_in_bytes is memory plus swap and must not be "
          "below memory_limit_in_bytes");
    }
    values->emplace_back(
        "memory.swap.max",
        absl::StrCat(r.memory_swap_limit_bytes - r.memory_limit_bytes));
  } else if (r.memory_limit_bytes > 0) {
    values->emplace_back("memory.swap.max", "0");
  }
  return absl::OkStatus();
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

absl::StatusOr<ControlValues> V2Values(const Resources& r) {
  ControlValues values;
  if (r.cpu_shares != 0) {
    values.emplace_back("cpu.weight",
                        absl::StrCat(CpuWeightFromShares(r.cpu_shares)));
  }
  if (r.cpu_quota_us != 0 || r.cpu_period_us != 0) {
    std::string text =
        r.cpu_quota_us > 0 ? absl::StrCat(r.cpu_quota_us) : std::string("max");
    if (r.cpu_period_us != 0) absl::StrAppend(&text, " ", r.cpu_period_us);
    values.emplace_back("cpu.max", std::move(text));
  }
  if (!r.cpuset_cpus.empty()) {
    values.emplace_back("cpuset.cpus", r.cpuset_cpus);
  }
  if (!r.cpuset_mems.empty()) {
    values.emplace_back("cpuset.mems", r.cpuset_mems);
  }
  if (absl::Status s = AddMemory(r, &values); !s.ok()) return s;
  if (r.pids_limit != 0) {
    values.emplace_back("pids.max", OrMax(r.pids_limit));
  }
  for (const auto& [size, bytes] : r.hugepage_limits) {
    if (!IsPageSize(size)) {
      return absl::InvalidArgumentError(
          "hugepage_limits: page_size is not like \"2MB\"");
    }
    values.emplace_back(absl::StrCat("hugetlb.", size, ".max"),
                        absl::StrCat(bytes));
  }
  // After and above the converted ones.
  for (const auto& [file, value] : r.unified) {
    if (!IsControlFile(file)) {
      return absl::InvalidArgumentError(
          "unified: a key is not the name of a controller's file");
    }
    values.emplace_back(file, value);
  }
  return values;
}

std::vector<V1Value> V1Values(const Resources& r) {
  std::vector<V1Value> values;
  const auto add = [&values](const char* controller, std::string file,
                             std::string value, bool best_effort = false) {
    values.push_back(
        {controller, std::move(file), std::move(value), best_effort});
  };
  if (r.cpu_shares != 0) {
    add("cpu", "cpu.shares",
        absl::StrCat(std::clamp<int64_t>(r.cpu_shares, 2, 262144)));
  }
  if (r.cpu_period_us != 0) {
    add("cpu", "cpu.cfs_period_us", absl::StrCat(r.cpu_period_us));
  }
  if (r.cpu_quota_us != 0) {
    add("cpu", "cpu.cfs_quota_us", absl::StrCat(r.cpu_quota_us));
  }
  if (!r.cpuset_cpus.empty()) add("cpuset", "cpuset.cpus", r.cpuset_cpus);
  if (!r.cpuset_mems.empty()) add("cpuset", "cpuset.mems", r.cpuset_mems);
  if (r.memory_limit_bytes != 0) {
    add("memory", "memory.limit_in_bytes", absl::StrCat(r.memory_limit_bytes));
  }
  // A kernel without swap accounting has no such file.
  if (r.memory_swap_limit_bytes != 0) {
    add("memory", "memory.memsw.limit_in_bytes",
        absl::StrCat(r.memory_swap_limit_bytes));
  } else if (r.memory_limit_bytes > 0) {
    add("memory", "memory.memsw.limit_in_bytes",
        absl::StrCat(r.memory_limit_bytes), true);
  }
  if (r.pids_limit != 0) add("pids", "pids.max", OrMax(r.pids_limit));
  for (const auto& [size, bytes] : r.hugepage_limits) {
    if (!IsPageSize(size)) continue;
    add("hugetlb", absl::StrCat("hugetlb.", size, ".limit_in_bytes"),
        absl::StrCat(bytes), true);
  }
  return values;
}

}  // namespace warren::runtime
