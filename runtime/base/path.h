#ifndef WARREN_RUNTIME_BASE_PATH_H_
#define WARREN_RUNTIME_BASE_PATH_H_

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <string>

// Paths as text. Pure; no file system is looked at.
namespace warren::base {

// "/a/./b//c/../d" -> "/a/b/d"; ".." stays inside "/". kInvalidArgument when
// not absolute, with NUL, or too long.
absl::StatusOr<std::string> CleanPath(absl::string_view path);

// "/dev" and "/dev/shm" are at or below "/dev", "/devices" is not. Both clean.
bool IsAtOrBelow(absl::string_view path, absl::string_view parent);

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_PATH_H_
