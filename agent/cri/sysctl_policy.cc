#include "agent/cri/sysctl_policy.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>

#include "agent/cri/validate.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

constexpr size_t kMaxValue = 256;

bool IsCanonical(absl::string_view name) {
  for (absl::string_view part : absl::StrSplit(name, '.')) {
    if (part.empty() || !std::all_of(part.begin(), part.end(), [](char c) {
          return absl::ascii_isalnum(c) || c == '_' || c == '-';
        })) {
      return false;
    }
  }
  return true;
}

bool OfNetwork(absl::string_view name) {
  return absl::StartsWith(name, "net.");
}

bool OfIpc(absl::string_view name) {
  return absl::StartsWith(name, "fs.mqueue.") || name == "kernel.sem" ||
         ((absl::StartsWith(name, "kernel.shm") ||
           absl::StartsWith(name, "kernel.msg")) &&
          std::count(name.begin(), name.end(), '.') == 1);
}

}  // namespace

absl::Status CheckSysctl(absl::string_view field, absl::string_view name,
                         absl::string_view value, bool own_network,
                         bool own_ipc) {
  const std::string entry = absl::StrCat(field, "[", Shown(name), "]");
  if (!IsCanonical(name) || (!OfNetwork(name) && !OfIpc(name))) {
    return Invalid(entry, "is not a sysctl of a namespace that a pod can own");
  }
  if (OfNetwork(name) ? !own_network : !own_ipc) {
    return Invalid(
        entry, absl::StrCat("would change the node: the pod uses "
                            "the host's ",
                            OfNetwork(name) ? "network" : "ipc", " namespace"));
  }
  return CheckText(entry, value, kMaxValue);
}

}  // namespace warren::agent
