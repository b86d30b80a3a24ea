#include "agent/caller/caller.h"

#include <absl/strings/str_cat.h>

namespace warren::agent {

std::string Caller::Name() const {
  if (kind == Kind::kUnknown) return "unknown";
  return uid.has_value() ? absl::StrCat("uid:", *uid) : "unix:";
}

}  // namespace warren::agent
