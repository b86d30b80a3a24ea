#ifndef WARREN_RUNTIME_INSPECT_PROC_READER_H_
#define WARREN_RUNTIME_INSPECT_PROC_READER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "runtime/runtime.h"

// What procfs says about one process (proc(5)), for inspection. `pid` is the
// host's number. A process that ends meanwhile is an error, which callers take
// for "it is not there"; a pid that was reused meanwhile shows the new process.
// Errors are errno's, or kInternal for a text that is not what proc(5) says.
// Thread-safe.
namespace warren::runtime {

// The command is the arguments as one line of printable ASCII, at most 1 KiB;
// without arguments (a kernel thread) it is the process's name.
absl::StatusOr<ProcessView> ReadProcess(pid_t pid);
// The mounts of its namespace, at most 16 MiB of text.
absl::StatusOr<std::vector<MountView>> ReadMounts(pid_t pid);
// Those of its time namespace for children (time_namespaces(7)).
absl::StatusOr<TimeOffsets> ReadTimeOffsets(pid_t pid);
// `file`: "uid_map" or "gid_map".
absl::StatusOr<std::vector<IdMapping>> ReadIdMap(pid_t pid, const char* file);
// nsfs descriptor of /proc/<pid>/ns/<name>, owned by the caller.
absl::StatusOr<base::UniqueFd> OpenNamespaceOf(pid_t pid, const char* name);

// The host name inside a UTS namespace (uts_fd: nsfs, borrowed): a short-lived
// thread goes in and asks.
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
