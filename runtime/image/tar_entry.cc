#include "runtime/image/tar_entry.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include "runtime/image/limits.h"

namespace warren::image {
namespace {

absl::Status BadPath(absl::string_view path, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("path \"", Printable(path), "\" ", why));
}

}  // namespace

std::string Printable(absl::string_view text) {
  constexpr size_t kShown = 96;
  const std::string escaped = absl::CHexEscape(text.substr(0, kShown));
  const bool cut = text.size() > kShown || escaped.size() > kShown;
  return cut ? absl::StrCat(escaped.substr(0, kShown), "...") : escaped;
}

absl::StatusOr<std::vector<std::string>> CleanPath(absl::string_view path) {
  if (path.size() > kMaxPathBytes) return BadPath(path, "is too long");
  if (path.find('\0') != absl::string_view::npos) {
    return BadPath(path, "holds a NUL byte");
  }
  std::vector<std::string> parts;
  for (const absl::string_view part :
       absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part == ".") continue;
    if (part == "..") return BadPath(path, "holds \"..\"");
    if (part.size() > kMaxNameBytes) {
      return BadPath(path, "has a part of more than 255 bytes");
    }
    parts.emplace_back(part);
  }
  if (parts.size() > static_cast<size_t>(kMaxPathDepth)) {
    return BadPath(path, "is too deep");
  }
  return parts;
}

}  // namespace warren::image
