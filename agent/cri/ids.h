#ifndef WARREN_AGENT_CRI_IDS_H_
#define WARREN_AGENT_CRI_IDS_H_

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <string>

// Ids of pods and containers: 64 lower-case hex digits, as every CRI client
// expects. Thread-safe.
namespace warren::agent {

inline constexpr size_t kIdLength = 64;

// 256 random bits of getrandom(2), which waits only while the kernel has not
// yet collected entropy after a boot. kInternal with errno when it fails.
absl::StatusOr<std::string> NewId();

// All 64 digits, lower case.
bool IsId(absl::string_view text);

// Could be the beginning of an id: 1 to 64 hex digits.
bool IsIdPrefix(absl::string_view text);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CRI_IDS_H_
