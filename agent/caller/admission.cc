#include "agent/caller/admission.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

namespace warren::agent {

absl::StatusOr<Admission::Place> Admission::Admit(CallClass call_class) {
  std::atomic<int>& count = counts_[static_cast<int>(call_class)];
  Place place(&count);  // gives back what follows in any case
  const int limit = limits_.Of(call_class);
  if (++count <= limit) return place;
  return absl::ResourceExhaustedError(
      absl::StrCat(limit, " calls of the class \"", CallClassName(call_class),
                   "\" are at work, which is its limit; try again"));
}

}  // namespace warren::agent
