#include "agent/convert/convert.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include <algorithm>
#include <utility>

#include "agent/cri/validate.h"
#include "runtime/base/status.h"

// What pods and containers have in common: profiles, resources.
namespace warren::agent {
namespace {

// cpu.shares of cgroup v1 (kernel: MIN_SHARES, MAX_SHARES).
constexpr int64_t kMinShares = 2;
constexpr int64_t kMaxShares = 262144;
// cpu.cfs_period_us and the smallest quota the kernel takes, microseconds.
constexpr int64_t kMinPeriod = 1000;
constexpr int64_t kMaxPeriod = 1'000'000;
// A static program that sleeps starts and takes an exec session with 384 KiB
// (measured on Linux 6.18, cgroup v1); with less it is killed at once.
constexpr int64_t kLeastMemory = 512 << 10;
constexpr int64_t kMinQuota = 1000;
constexpr int64_t kMaxOomScore = 1000;

bool OnlyOf(absl::string_view text, absl::string_view allowed) {
  return text.find_first_not_of(allowed) == absl::string_view::npos;
}

absl::Status CheckProfileReference(absl::string_view field,
                                   const cri::SecurityProfile& profile) {
  if (!cri::SecurityProfile::ProfileType_IsValid(profile.profile_type())) {
    return Invalid(absl::StrCat(field, ".profile_type"), "is unknown");
  }
  const bool local = profile.profile_type() == cri::SecurityProfile::Localhost;
  if (local == profile.localhost_ref().empty()) {
    return Invalid(absl::StrCat(field, ".localhost_ref"),
                   local ? "is required with profile type Localhost"
                         : "is only allowed with profile type Localhost");
  }
  return absl::OkStatus();
}

// The field that CRI had before profiles were messages.
absl::StatusOr<runtime::SeccompChoice> OldSeccomp(absl::string_view field,
                                                  absl::string_view value) {
  if (value.empty() || value == "unconfined") return runtime::SeccompChoice{};
  if (value == "runtime/default" || value == "docker/default") {
    return runtime::SeccompChoice{runtime::SeccompMode::kRuntimeDefault, ""};
  }
  if (!absl::ConsumePrefix(&value, "localhost/")) {
    return Invalid(field, absl::StrCat(Shown(value), " is unknown"));
  }
  ASSIGN_OR_RETURN(std::string path, CheckAbsolutePath(field, value));
  return runtime::SeccompChoice{runtime::SeccompMode::kLocalhost,
                                std::move(path)};
}

absl::Status Within(absl::string_view field, int64_t value, int64_t low,
                    int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Invalid(field, absl::StrCat(value, " is outside ", low, "..", high));
}

absl::Status CheckUnified(absl::string_view field, absl::string_view file,
                          absl::string_view value) {
  // A file of the container's own cgroup and nothing else: no path. Capitals
  // are in hugetlb.2MB.max.
  if (file.empty() || file.size() > 128 || file.front() == '.' ||
      !OnlyOf(file,
              "abcdefghijklmnopqrstuvwxyz"
              "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._") ||
      !absl::StrContains(file, ".") || absl::StrContains(file, "..") ||
      absl::StartsWith(file, "cgroup.")) {
    return Invalid(
        field, absl::StrCat(Shown(file), " is not a cgroup controller file"));
  }
  if (value.size() > 4096 || absl::StrContains(value, '\0')) {
    return Invalid(field, absl::StrCat("the value of ", Shown(file),
                                       " is too long or holds a NUL byte"));
  }
  return absl::OkStatus();
}

absl::Status CheckHugepage(absl::string_view field, absl::string_view size) {
  if (size.size() < 3 || size.size() > 16 ||
      !OnlyOf(size.substr(0, size.size() - 2), "0123456789") ||
      !OnlyOf(size.substr(size.size() - 2, 1), "KMG") || size.back() != 'B') {
    return Invalid(field, absl::StrCat(Shown(size), " is not like \"2MB\""));
  }
  return absl::OkStatus();
}

absl::Status CheckCpu(absl::string_view field,
                      const cri::LinuxContainerResources& in) {
  RETURN_IF_ERROR(Within(absl::StrCat(field, ".cpu_shares"), in.cpu_shares(), 0,
                         INT64_MAX));
  if (in.cpu_period() != 0) {
    RETURN_IF_ERROR(Within(absl::StrCat(field, ".cpu_period"), in.cpu_period(),
                           kMinPeriod, kMaxPeriod));
  }
  if (in.cpu_quota() != 0 && in.cpu_quota() != -1) {
    RETURN_IF_ERROR(Within(absl::StrCat(field, ".cpu_quota"), in.cpu_quota(),
                           kMinQuota, INT64_MAX / kMaxPeriod));
  }
  for (const auto& [name, value] : {std::pair<const char*, const std::string&>{
                                        ".cpuset_cpus", in.cpuset_cpus()},
                                    {".cpuset_mems", in.cpuset_mems()}}) {
    if (value.size() > 4096 || !OnlyOf(value, "0123456789,-")) {
      return Invalid(absl::StrCat(field, name),
                     absl::StrCat(Shown(value), " is not a list of numbers"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckMemory(absl::string_view field,
                         const cri::LinuxContainerResources& in) {
  const int64_t limit = in.memory_limit_in_bytes();
  const int64_t swap = in.memory_swap_limit_in_bytes();
  RETURN_IF_ERROR(Within(absl::StrCat(field, ".memory_limit_in_bytes"), limit,
                         -1, INT64_MAX));
  const std::string swap_field =
      absl::StrCat(field, ".memory_swap_limit_in_bytes");
  RETURN_IF_ERROR(Within(swap_field, swap, -1, INT64_MAX));
  if (swap > 0 && (limit <= 0 || swap < limit)) {
    return Invalid(swap_field,
                   "is memory plus swap, cannot be below the memory limit and "
                   "needs one");
  }
  return Within(absl::StrCat(field, ".oom_score_adj"), in.oom_score_adj(),
                -kMaxOomScore, kMaxOomScore);
}

}  // namespace

absl::Status CheckRuntimeHandler(absl::string_view field,
                                 absl::string_view handler) {
  if (handler.empty() || handler == kRuntimeHandler) return absl::OkStatus();
  return Invalid(field, absl::StrCat(Shown(handler), " is unknown; there is \"",
                                     kRuntimeHandler, "\""));
}

absl::Status CheckSandboxMetadata(absl::string_view field,
                                  const cri::PodSandboxMetadata& metadata) {
  RETURN_IF_ERROR(CheckName(absl::StrCat(field, ".name"), metadata.name()));
  RETURN_IF_ERROR(
      CheckName(absl::StrCat(field, ".namespace"), metadata.namespace_()));
  return CheckName(absl::StrCat(field, ".uid"), metadata.uid());
}

absl::StatusOr<runtime::SeccompChoice> ConvertSeccomp(
    absl::string_view field, bool present, const cri::SecurityProfile& profile,
    absl::string_view deprecated_path) {
  if (!present) {
    return OldSeccomp(absl::StrCat(field, "_profile_path"), deprecated_path);
  }
  RETURN_IF_ERROR(CheckProfileReference(field, profile));
  switch (profile.profile_type()) {
    case cri::SecurityProfile::RuntimeDefault:
      return runtime::SeccompChoice{runtime::SeccompMode::kRuntimeDefault, ""};
    case cri::SecurityProfile::Localhost: {
      ASSIGN_OR_RETURN(std::string path,
                       CheckAbsolutePath(absl::StrCat(field, ".localhost_ref"),
                                         profile.localhost_ref()));
      return runtime::SeccompChoice{runtime::SeccompMode::kLocalhost,
                                    std::move(path)};
    }
    default:
      return runtime::SeccompChoice{};
  }
}

absl::StatusOr<std::string> CheckCgroupParent(absl::string_view field,
                                              absl::string_view parent) {
  if (parent.empty()) return std::string();
  const bool absolute = parent[0] == '/';
  auto clean = absolute ? CheckAbsolutePath(field, parent)
                        : CheckRelativePath(field, parent);
  if (!clean.ok()) return clean;
  if (*clean == "/") return Invalid(field, "is the root of all cgroups");
  // A lone slice is the systemd spelling; any other path starts at the root.
  if (absolute ||
      (absl::EndsWith(*clean, ".slice") && !absl::StrContains(*clean, "/"))) {
    return clean;
  }
  return absl::StrCat("/", *clean);
}

absl::Status CheckMemoryFloor(absl::string_view field,
                              const cri::LinuxContainerResources& resources) {
  const int64_t limit = resources.memory_limit_in_bytes();
  if (limit <= 0 || limit >= kLeastMemory) return absl::OkStatus();
  return Invalid(absl::StrCat(field, ".memory_limit_in_bytes"),
                 absl::StrCat(limit, " is less than any program needs; ",
                              kLeastMemory, " is the least that works"));
}

absl::StatusOr<runtime::Resources> ConvertResources(
    absl::string_view field, const cri::LinuxContainerResources& in) {
  RETURN_IF_ERROR(CheckCpu(field, in));
  RETURN_IF_ERROR(CheckMemory(field, in));
  runtime::Resources out;
  if (in.cpu_shares() != 0) {
    out.cpu_shares = std::clamp(in.cpu_shares(), kMinShares, kMaxShares);
  }
  out.cpu_quota_us = in.cpu_quota();
  out.cpu_period_us = in.cpu_period();
  out.memory_limit_bytes = in.memory_limit_in_bytes();
  out.memory_swap_limit_bytes = in.memory_swap_limit_in_bytes();
  out.cpuset_cpus = in.cpuset_cpus();
  out.cpuset_mems = in.cpuset_mems();
  out.oom_score_adj = in.oom_score_adj();
  for (const cri::HugepageLimit& limit : in.hugepage_limits()) {
    RETURN_IF_ERROR(CheckHugepage(
        absl::StrCat(field, ".hugepage_limits.page_size"), limit.page_size()));
    out.hugepage_limits[limit.page_size()] = limit.limit();
  }
  for (const auto& [file, value] : in.unified()) {
    RETURN_IF_ERROR(CheckUnified(absl::StrCat(field, ".unified"), file, value));
    out.unified[file] = value;
  }
  return out;
}

}  // namespace warren::agent
