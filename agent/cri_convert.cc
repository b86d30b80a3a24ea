#include "agent/cri_convert.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>

#include "agent/validate.h"
#include "runtime/base/status.h"

// What pods and containers have in common: profiles, labels, resources.
namespace warren::agent {
namespace {

// cpu.shares of cgroup v1 (kernel: MIN_SHARES, MAX_SHARES).
constexpr int64_t kMinShares = 2;
constexpr int64_t kMaxShares = 262144;
// cpu.cfs_period_us and the smallest quota the kernel takes, microseconds.
constexpr int64_t kMinPeriod = 1000;
constexpr int64_t kMaxPeriod = 1'000'000;
constexpr int64_t kMinQuota = 1000;
constexpr int64_t kMaxOomScore = 1000;

bool OnlyOf(absl::string_view text, absl::string_view allowed) {
  return text.find_first_not_of(allowed) == absl::string_view::npos;
}

// "s0", "s0-s0:c1.c3,c5": sN[-sN][:cA[.cB][,cC…]].
bool IsSelinuxLevel(absl::string_view level) {
  const auto numbered = [](absl::string_view text, char prefix) {
    return text.size() > 1 && text.size() <= 6 && text[0] == prefix &&
           OnlyOf(text.substr(1), "0123456789");
  };
  const std::vector<absl::string_view> halves = absl::StrSplit(level, ':');
  const std::vector<absl::string_view> range = absl::StrSplit(halves[0], '-');
  if (halves.size() > 2 || range.size() > 2) return false;
  for (absl::string_view sensitivity : range) {
    if (!numbered(sensitivity, 's')) return false;
  }
  if (halves.size() == 1) return true;
  for (absl::string_view categories : absl::StrSplit(halves[1], ',')) {
    const std::vector<absl::string_view> ends = absl::StrSplit(categories, '.');
    if (ends.size() > 2) return false;
    for (absl::string_view end : ends) {
      if (!numbered(end, 'c')) return false;
    }
  }
  return true;
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

absl::Status Within(absl::string_view field, int64_t value, int64_t low,
                    int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Invalid(field, absl::StrCat(value, " is outside ", low, "..", high));
}

absl::Status CheckUnified(absl::string_view field, absl::string_view file,
                          absl::string_view value) {
  // A file of the container's own cgroup and nothing else: no path.
  if (file.empty() || file.size() > 128 || file.front() == '.' ||
      !OnlyOf(file, "abcdefghijklmnopqrstuvwxyz0123456789._") ||
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

absl::Status CheckRuntimeHandler(absl::string_view handler) {
  if (handler.empty() || handler == kRuntimeHandler) return absl::OkStatus();
  return Invalid("runtime_handler",
                 absl::StrCat(Shown(handler), " is unknown; there is \"",
                              kRuntimeHandler, "\""));
}

absl::Status CheckSandboxMetadata(absl::string_view field,
                                  const cri::PodSandboxMetadata& metadata) {
  RETURN_IF_ERROR(CheckName(absl::StrCat(field, ".name"), metadata.name()));
  RETURN_IF_ERROR(
      CheckName(absl::StrCat(field, ".namespace"), metadata.namespace_()));
  return CheckName(absl::StrCat(field, ".uid"), metadata.uid());
}

absl::Status CheckSeccomp(absl::string_view field, bool present,
                          const cri::SecurityProfile& profile,
                          absl::string_view deprecated_path) {
  if (!present) {
    const std::string path = absl::StrCat(field, "_profile_path");
    if (absl::StartsWith(deprecated_path, "localhost/")) {
      return NotBuilt(path, "seccomp profiles of the node");
    }
    if (deprecated_path.empty() || deprecated_path == "unconfined" ||
        deprecated_path == "runtime/default" ||
        deprecated_path == "docker/default") {
      return absl::OkStatus();
    }
    return Invalid(path, absl::StrCat(Shown(deprecated_path), " is unknown"));
  }
  RETURN_IF_ERROR(CheckProfileReference(field, profile));
  if (profile.profile_type() == cri::SecurityProfile::Localhost) {
    return NotBuilt(field, "seccomp profiles of the node");
  }
  return absl::OkStatus();
}

absl::Status CheckAppArmor(absl::string_view field, bool present,
                           const cri::SecurityProfile& profile,
                           absl::string_view deprecated_profile) {
  if (present) {
    RETURN_IF_ERROR(CheckProfileReference(field, profile));
    if (profile.profile_type() == cri::SecurityProfile::Unconfined) {
      return absl::OkStatus();
    }
  } else if (deprecated_profile.empty() || deprecated_profile == "unconfined") {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat(present ? field : absl::StrCat(field, "_profile"),
                   ": no AppArmor profile can be applied on this node"));
}

absl::Status CheckSelinux(absl::string_view field,
                          const cri::SELinuxOption& options) {
  if (!options.level().empty() && !IsSelinuxLevel(options.level())) {
    return Invalid(absl::StrCat(field, ".level"),
                   absl::StrCat(Shown(options.level()), " is malformed"));
  }
  if (options.user().empty() && options.role().empty() &&
      options.type().empty() && options.level().empty()) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat(field, ": no SELinux label can be applied on this node"));
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
