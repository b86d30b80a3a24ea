#ifndef WARREN_AGENT_CRI_VALIDATE_H_
#define WARREN_AGENT_CRI_VALIDATE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <google/protobuf/repeated_field.h>

#include <cstdint>
#include <string>

// Checks of single request fields at the edge (STR-1). Every error is
// kInvalidArgument of the form "<field>: <what is wrong>"; the value itself is
// shown escaped and cut, if at all (API-6). Pure.
namespace warren::agent {

// Longest metadata name, uid or namespace; Kubernetes allows 253.
inline constexpr size_t kMaxNameBytes = 1024;
inline constexpr size_t kMaxPathBytes = 4095;  // PATH_MAX - 1

absl::Status Invalid(absl::string_view field, absl::string_view why);
// For what CRI allows and this build does not have; kUnimplemented.
absl::Status NotBuilt(absl::string_view field, absl::string_view what);

// `text` in quotes, escaped to printable ASCII, at most 64 bytes of it.
std::string Shown(absl::string_view text);

// Nothing but 0 to 9; true for an empty text.
bool AllDigits(absl::string_view text);

// No NUL, CR or LF, at most `max` bytes; may be empty.
absl::Status CheckText(absl::string_view field, absl::string_view text,
                       size_t max);
// As CheckText, and not empty, at most kMaxNameBytes.
absl::Status CheckName(absl::string_view field, absl::string_view text);

// RFC 1123 labels joined by dots, at most 64 bytes (HOST_NAME_MAX).
absl::Status CheckHostname(absl::string_view field, absl::string_view text);

// Not empty, no "=", no control bytes.
absl::Status CheckEnvKey(absl::string_view field, absl::string_view key);

// An absolute path without "." or ".." components. Returns it without
// doubled or trailing slashes.
absl::StatusOr<std::string> CheckAbsolutePath(absl::string_view field,
                                              absl::string_view path);
// The same for a relative path, which must not be empty.
absl::StatusOr<std::string> CheckRelativePath(absl::string_view field,
                                              absl::string_view path);

// Any of "r", "w" and "m", each at most once and not none of them, as
// runtime::kDevice* bits.
absl::StatusOr<uint8_t> ParseDeviceAccess(absl::string_view field,
                                          absl::string_view text);

// A uid or gid: 0 to 2^31 - 1 (EXE-5).
absl::Status CheckId(absl::string_view field, int64_t id);

// The same of each, and at most NGROUPS_MAX, as many as setgroups(2) takes.
absl::Status CheckGroups(absl::string_view field,
                         const google::protobuf::RepeatedField<int64_t>& ids);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CRI_VALIDATE_H_
