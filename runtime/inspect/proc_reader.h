#ifndef WARREN_RUNTIME_INSPECT_PROC_READER_H_
#define WARREN_RUNTIME_INSPECT_PROC_READER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "runtime/runtime.h"

// What procfs says about one process (proc(5)), for inspection. A process that
// ends meanwhile is an error; callers leave it out. Thread-safe.
namespace warren::runtime {

absl::StatusOr<ProcessView> ReadProcess(pid_t pid);
absl::StatusOr<std::vector<MountView>> ReadMounts(pid_t pid);
absl::StatusOr<TimeOffsets> ReadTimeOffsets(pid_t pid);
// uid_map or gid_map.
absl::StatusOr<std::vector<IdMapping>> ReadIdMap(pid_t pid, const char* file);
// nsfs descriptor of /proc/<pid>/ns/<name>.
absl::StatusOr<base::UniqueFd> OpenNamespaceOf(pid_t pid, const char* name);

// The host name inside a UTS namespace: a short-lived thread goes in and asks.
absl::StatusOr<std::string> ReadHostname(int uts_fd);

// Inode of a namespace and of the user namespace that owns it (0 when that is
// outside the caller's own, ioctl_ns(2)).
struct NamespaceIds {
  uint64_t inode = 0;
  uint64_t owner = 0;
};
absl::StatusOr<NamespaceIds> IdentifyNamespace(int ns_fd);

// ---- Pure -----------------------------------------------------------------
// From the text of /proc/<pid>/status.
absl::StatusOr<ProcessView> ParseProcessStatus(absl::string_view text);
// From the text of /proc/<pid>/timens_offsets.
absl::StatusOr<TimeOffsets> ParseTimeOffsets(absl::string_view text);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_INSPECT_PROC_READER_H_
