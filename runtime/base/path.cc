#include "runtime/base/path.h"

#include <absl/status/status.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <limits.h>

#include <vector>

namespace warren::base {

absl::StatusOr<std::string> CleanPath(absl::string_view path) {
  if (path.empty() || path[0] != '/') {
    return absl::InvalidArgumentError("path is not absolute");
  }
  if (path.size() >= PATH_MAX) {
    return absl::InvalidArgumentError("path is longer than 4095 bytes");
  }
  if (absl::StrContains(path, absl::string_view("\0", 1))) {
    return absl::InvalidArgumentError("path contains NUL");
  }
  std::vector<absl::string_view> parts;
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  return absl::StrCat("/", absl::StrJoin(parts, "/"));
}

bool IsAtOrBelow(absl::string_view path, absl::string_view parent) {
  return path == parent || parent == "/" ||
         (absl::StartsWith(path, parent) && path[parent.size()] == '/');
}

}  // namespace warren::base
