#ifndef WARREN_RUNTIME_LAUNCH_LOG_DIR_H_
#define WARREN_RUNTIME_LAUNCH_LOG_DIR_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>

#include "runtime/base/unique_fd.h"

namespace warren::runtime {

// Where a container's log goes; the shim opens the file itself (LOG-1).
struct LogPlace {
  base::UniqueFd dir;  // invalid: output is dropped
  std::string name;
};

// kInvalidArgument: log_directory not absolute, or log_path absolute, with
// "..", or not the path of a file.
absl::Status CheckLogPath(const std::string& log_directory,
                          const std::string& log_path);

// Makes the directories that are missing, mode 0755. No part of the path may be
// a symlink that somebody has planted (LOG-1): one is followed only where it
// belongs to root and lies in a directory that nobody but root can write to
// (/var/log on another disk), and never below log_directory.
// kFailedPrecondition names the symlink that is refused; other errors are
// errno's.
absl::StatusOr<LogPlace> OpenLogPlace(const std::string& log_directory,
                                      const std::string& log_path);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_LAUNCH_LOG_DIR_H_
