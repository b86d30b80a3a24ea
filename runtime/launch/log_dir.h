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

// Makes the directories that are missing, mode 0755. Below log_directory, which
// is the orchestrator's to choose, no symlink is followed.
absl::StatusOr<LogPlace> OpenLogPlace(const std::string& log_directory,
                                      const std::string& log_path);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_LAUNCH_LOG_DIR_H_
