#ifndef WARREN_RUNTIME_BASE_MOUNTINFO_H_
#define WARREN_RUNTIME_BASE_MOUNTINFO_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <string>
#include <vector>

// /proc/<pid>/mountinfo as proc(5) describes it. Pure.
namespace warren::base {

struct MountEntry {
  uint64_t id = 0;
  uint64_t parent_id = 0;
  std::string root;
  std::string target;
  std::string options;  // of the mount: "ro,nosuid"
  bool shared = false;  // shared:N among the optional fields
  bool slave = false;   // master:N
  std::string fs_type;
  std::string source;
  std::string super_options;  // of the file system: "rw,pids"
};

// One entry for each line, octal escapes (\040) undone. kInternal for a line
// that is not one.
absl::StatusOr<std::vector<MountEntry>> ParseMountInfo(absl::string_view text);

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_MOUNTINFO_H_
