#include "runtime/image/registry/host_failures.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

namespace warren::registry {

void HostFailures::Add(const std::string& host, const absl::Status& failure) {
  lines_.push_back(absl::StrCat(host, ": ", failure.message()));
  code_ = failure.code();
}

absl::Status HostFailures::Combine(absl::string_view what) const {
  if (lines_.empty()) {
    return absl::UnavailableError(
        absl::StrCat(what, ": no host is configured for it"));
  }
  return absl::Status(code_,
                      absl::StrCat(what, ": ", absl::StrJoin(lines_, "; ")));
}

}  // namespace warren::registry
