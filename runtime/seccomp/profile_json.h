#ifndef WARREN_RUNTIME_SECCOMP_PROFILE_JSON_H_
#define WARREN_RUNTIME_SECCOMP_PROFILE_JSON_H_

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include "runtime/seccomp/profile.h"

namespace warren::seccomp {

inline constexpr size_t kMaxProfileBytes = 1 << 20;
inline constexpr size_t kMaxRules = 2048;
inline constexpr size_t kMaxNames = 16384;  // of all rules together

// A profile in JSON, as the OCI runtime specification ("seccomp" in
// config-linux.md) and the profiles of container engines have it:
//
//   defaultAction, defaultErrnoRet | defaultErrno, architectures | archMap
//   [{architecture, subArchitectures}], flags, syscalls [{names | name,
//   action, errnoRet | errno, args [{index, value, valueTwo, op}],
//   includes, excludes {caps, arches, minKernel}}]
//
// kInvalidArgument says where and what: "syscalls[3].action: …". A key that
// is none of these is refused, because it might be a restriction that would
// then not hold ("comment" and what begins with "$" are skipped); so are
// SCMP_ACT_NOTIFY and all that belongs to it, because nobody would answer.
// Bounded in size and depth; safe on any bytes. Pure.
absl::StatusOr<Profile> ParseProfile(absl::string_view text);

}  // namespace warren::seccomp

#endif  // WARREN_RUNTIME_SECCOMP_PROFILE_JSON_H_
