#include "agent/convert/sysctls.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/cri/sysctl_policy.h"
#include "agent/cri/validate.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

constexpr char kField[] = "config.linux.sysctls";
constexpr char kPingGroups[] = "net.ipv4.ping_group_range";
constexpr char kLowPorts[] = "net.ipv4.ip_unprivileged_port_start";

// The kernel takes no higher group (GROUP_RANGE_MAX).
constexpr uint64_t kMaxGroup = INT32_MAX;

// All groups that the pod has; nullopt where the kernel does not take them.
std::optional<std::string> AllGroups(
    const std::vector<runtime::IdMapping>& mappings) {
  if (mappings.empty()) return absl::StrCat("0 ", kMaxGroup);
  const uint32_t last = mappings[0].length - 1;
  if (uint64_t{mappings[0].host_id} + last > kMaxGroup) return std::nullopt;
  return absl::StrCat("0 ", last);
}

// "first last" in the pod's ids as the node's. A range that is the wrong way
// round means no group to the kernel, and still has to be mapped.
absl::StatusOr<std::string> OnTheNode(
    absl::string_view value, const std::vector<runtime::IdMapping>& mappings) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(value, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  std::array<uint32_t, 2> ids = {};
  if (words.size() != ids.size() || !absl::SimpleAtoi(words[0], &ids[0]) ||
      !absl::SimpleAtoi(words[1], &ids[1])) {
    return Invalid(absl::StrCat(kField, "[", kPingGroups, "]"),
                   absl::StrCat(Shown(value), " is not two group ids"));
  }
  if (mappings.empty()) return absl::StrCat(ids[0], " ", ids[1]);
  const runtime::IdMapping& map = mappings[0];
  for (uint32_t& id : ids) {
    if (id - map.container_id >= map.length) {
      return Invalid(
          absl::StrCat(kField, "[", kPingGroups, "]"),
          absl::StrCat("group ", id, " is not in the pod's user namespace, ",
                       "whose mapping has ", map.container_id, "..",
                       map.container_id + map.length - 1));
    }
    id = map.host_id + (id - map.container_id);
  }
  return absl::StrCat(ids[0], " ", ids[1]);
}

}  // namespace

absl::Status ConvertSysctls(const cri::LinuxPodSandboxConfig& linux_config,
                            bool decided_before, runtime::SandboxSpec* spec) {
  const bool own_network = spec->network == runtime::NamespaceMode::kPod;
  const bool own_ipc = spec->ipc == runtime::NamespaceMode::kPod;
  auto values = std::map<std::string, std::string>(
      linux_config.sysctls().begin(), linux_config.sysctls().end());
  for (const auto& [name, value] : values) {
    RETURN_IF_ERROR(CheckSysctl(kField, name, value, own_network, own_ipc));
  }
  if (own_network) {
    values.emplace(kLowPorts, "0");
    if (const auto all = AllGroups(spec->gid_mappings); all.has_value()) {
      values.emplace(kPingGroups, *all);
    }
  }
  for (auto& [name, value] : values) {
    if (name == kPingGroups && !decided_before) {
      ASSIGN_OR_RETURN(value, OnTheNode(value, spec->gid_mappings));
    }
    spec->sysctls.emplace_back(name, value);
  }
  return absl::OkStatus();
}

}  // namespace warren::agent
