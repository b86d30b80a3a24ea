#include "agent/cri/ids.h"

#include <absl/strings/escaping.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>

#include "runtime/base/status.h"

namespace warren::agent {

absl::StatusOr<std::string> NewId() {
  char bytes[kIdLength / 2];
  // Never partial up to 256 bytes once the pool is ready (getrandom(2)).
  if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
    return base::ErrnoError(errno, "getrandom");
  }
  return absl::BytesToHexString(absl::string_view(bytes, sizeof(bytes)));
}

bool IsIdPrefix(absl::string_view text) {
  return !text.empty() && text.size() <= kIdLength &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool IsId(absl::string_view text) {
  return text.size() == kIdLength && IsIdPrefix(text);
}

}  // namespace warren::agent
