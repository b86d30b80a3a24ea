#include "runtime/base/mountinfo.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

namespace warren::base {
namespace {

bool IsOctal(char c) { return c >= '0' && c <= '7'; }

// The kernel writes blank, tab, newline and backslash as \ooo.
std::string Unescape(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && IsOctal(text[i + 1]) &&
        IsOctal(text[i + 2]) && IsOctal(text[i + 3])) {
      out.push_back(static_cast<char>((text[i + 1] - '0') * 64 +
                                      (text[i + 2] - '0') * 8 +
                                      (text[i + 3] - '0')));
      i += 3;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

bool ParseLine(absl::string_view line, MountEntry* entry) {
  const std::vector<absl::string_view> f = absl::StrSplit(line, ' ');
  // id parent major:minor root target options [optional…] - type source super
  if (f.size() < 9 || !absl::SimpleAtoi(f[0], &entry->id) ||
      !absl::SimpleAtoi(f[1], &entry->parent_id)) {
    return false;
  }
  entry->root = Unescape(f[3]);
  entry->target = Unescape(f[4]);
  entry->options = std::string(f[5]);
  size_t i = 6;
  for (; i < f.size() && f[i] != "-"; ++i) {
    entry->shared |= absl::StartsWith(f[i], "shared:");
    entry->slave |= absl::StartsWith(f[i], "master:");
  }
  // An empty source leaves an empty field.
  if (i + 3 >= f.size()) return false;
  entry->fs_type = Unescape(f[i + 1]);
  entry->source = Unescape(f[i + 2]);
  entry->super_options = Unescape(f[i + 3]);
  return true;
}

}  // namespace

absl::StatusOr<std::vector<MountEntry>> ParseMountInfo(absl::string_view text) {
  std::vector<MountEntry> entries;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    MountEntry entry;
    if (!ParseLine(line, &entry)) {
      return absl::InternalError(
          absl::StrCat("mountinfo has a malformed line \"", line, "\""));
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace warren::base
