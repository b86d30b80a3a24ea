#include "runtime/launch/log_dir.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/path.h"
#include "runtime/base/status.h"
#include "runtime/mounts/host_path.h"
#include "runtime/mounts/plan.h"

namespace warren::runtime {

absl::Status CheckLogPath(const std::string& log_directory,
                          const std::string& log_path) {
  if (log_directory.empty() || log_path.empty()) return absl::OkStatus();
  RETURN_IF_ERROR_IN(base::CleanPath(log_directory).status(), "log_directory");
  if (log_path[0] == '/' || log_path.back() == '/' ||
      log_path.find('\0') != std::string::npos || log_path.size() > 4000) {
    return absl::InvalidArgumentError(
        "log_path: not the relative path of a file");
  }
  for (absl::string_view part : absl::StrSplit(log_path, '/')) {
    if (part.empty() || part == "." || part == ".." || part.size() > 255) {
      return absl::InvalidArgumentError(
          "log_path: \".\", \"..\" and empty parts are not allowed");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<LogPlace> OpenLogPlace(const std::string& log_directory,
                                      const std::string& log_path) {
  LogPlace place;
  if (log_directory.empty() || log_path.empty()) return place;
  RETURN_IF_ERROR(CheckLogPath(log_directory, log_path));
  auto dir = base::OpenAt(AT_FDCWD, log_directory, O_PATH | O_DIRECTORY);
  if (!dir.ok()) dir = MakeHostDirs(log_directory);
  if (!dir.ok()) return dir.status();
  std::vector<std::string> parts = absl::StrSplit(log_path, '/');
  place.name = parts.back();
  parts.pop_back();
  place.dir = *std::move(dir);
  for (const std::string& part : parts) {
    const bool made = mkdirat(place.dir.get(), part.c_str(), 0755) == 0;
    if (!made && errno != EEXIST) {
      return base::ErrnoError(errno, absl::StrCat("mkdir ", log_path));
    }
    ASSIGN_OR_RETURN(place.dir,
                     base::OpenAt(place.dir.get(), part,
                                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (made && fchmod(place.dir.get(), 0755) != 0) {
      return base::ErrnoError(errno, absl::StrCat("chmod ", log_path));
    }
  }
  return place;
}

}  // namespace warren::runtime
