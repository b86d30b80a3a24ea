#include "agent/cri/validate.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <limits.h>

#include <algorithm>
#include <cctype>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/runtime.h"

namespace warren::agent {
namespace {

constexpr size_t kShownBytes = 64;
constexpr size_t kMaxHostname = 64;
constexpr size_t kMaxLabel = 63;

// The components of a path, none of them empty, "." or "..".
absl::StatusOr<std::string> JoinClean(absl::string_view field,
                                      absl::string_view path) {
  RETURN_IF_ERROR(CheckText(field, path, kMaxPathBytes));
  std::string clean;
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part == "." || part == "..") {
      return Invalid(
          field, absl::StrCat(Shown(path), " has a component \"", part, "\""));
    }
    absl::StrAppend(&clean, "/", part);
  }
  return clean;
}

bool IsLabel(absl::string_view label) {
  return !label.empty() && label.size() <= kMaxLabel && label.front() != '-' &&
         label.back() != '-' &&
         std::all_of(label.begin(), label.end(), [](unsigned char c) {
           return c < 0x80 && (std::isalnum(c) != 0 || c == '-');
         });
}

}  // namespace

bool AllDigits(absl::string_view text) {
  return text.find_first_not_of("0123456789") == absl::string_view::npos;
}

absl::Status Invalid(absl::string_view field, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", why));
}

absl::Status NotBuilt(absl::string_view field, absl::string_view what) {
  return absl::UnimplementedError(
      absl::StrCat(field, ": ", what, " are not supported yet"));
}

std::string Shown(absl::string_view text) {
  const bool cut = text.size() > kShownBytes;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kShownBytes)),
                      cut ? "…\"" : "\"");
}

absl::Status CheckText(absl::string_view field, absl::string_view text,
                       size_t max) {
  if (text.size() > max) {
    return Invalid(field, absl::StrCat("is longer than ", max, " bytes"));
  }
  if (text.find_first_of(absl::string_view("\0\r\n", 3)) !=
      absl::string_view::npos) {
    return Invalid(field, "holds a NUL, CR or LF byte");
  }
  return absl::OkStatus();
}

absl::Status CheckName(absl::string_view field, absl::string_view text) {
  if (text.empty()) return Invalid(field, "is required");
  return CheckText(field, text, kMaxNameBytes);
}

absl::Status CheckHostname(absl::string_view field, absl::string_view text) {
  if (text.size() > kMaxHostname) {
    return Invalid(field,
                   absl::StrCat("is longer than ", kMaxHostname, " bytes"));
  }
  for (absl::string_view label : absl::StrSplit(text, '.')) {
    if (!IsLabel(label)) {
      return Invalid(
          field, absl::StrCat(Shown(text), " is not a host name (RFC 1123)"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckEnvKey(absl::string_view field, absl::string_view key) {
  if (key.empty()) return Invalid(field, "is empty");
  RETURN_IF_ERROR(CheckText(field, key, kMaxPathBytes));
  if (key.find('=') != absl::string_view::npos) {
    return Invalid(field, absl::StrCat(Shown(key), " holds a \"=\""));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> CheckAbsolutePath(absl::string_view field,
                                              absl::string_view path) {
  if (path.empty() || path[0] != '/') {
    return Invalid(field, absl::StrCat(Shown(path), " is not absolute"));
  }
  ASSIGN_OR_RETURN(std::string clean, JoinClean(field, path));
  return clean.empty() ? "/" : clean;
}

absl::StatusOr<std::string> CheckRelativePath(absl::string_view field,
                                              absl::string_view path) {
  if (path.empty()) return Invalid(field, "is empty");
  if (path[0] == '/') {
    return Invalid(field, absl::StrCat(Shown(path), " is not relative"));
  }
  ASSIGN_OR_RETURN(const std::string clean, JoinClean(field, path));
  return clean.substr(1);
}

absl::StatusOr<uint8_t> ParseDeviceAccess(absl::string_view field,
                                          absl::string_view text) {
  uint8_t access = 0;
  for (const char c : text) {
    const uint8_t bit = c == 'r'   ? runtime::kDeviceRead
                        : c == 'w' ? runtime::kDeviceWrite
                        : c == 'm' ? runtime::kDeviceMknod
                                   : 0;
    if (bit == 0 || (access & bit) != 0) {
      return Invalid(field, absl::StrCat(Shown(text), " is not some of rwm"));
    }
    access |= bit;
  }
  if (access == 0) return Invalid(field, "must be some of rwm");
  return access;
}

absl::Status CheckId(absl::string_view field, int64_t id) {
  if (id < 0 || id > INT32_MAX) {
    return Invalid(field, absl::StrCat(id, " is outside 0..", INT32_MAX));
  }
  return absl::OkStatus();
}

absl::Status CheckGroups(absl::string_view field,
                         const google::protobuf::RepeatedField<int64_t>& ids) {
  if (ids.size() > NGROUPS_MAX) {
    return Invalid(field,
                   absl::StrCat("has more than ", NGROUPS_MAX, " entries"));
  }
  for (const int64_t id : ids) RETURN_IF_ERROR(CheckId(field, id));
  return absl::OkStatus();
}

}  // namespace warren::agent
