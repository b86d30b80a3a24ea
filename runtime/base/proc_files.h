#ifndef WARREN_RUNTIME_BASE_PROC_FILES_H_
#define WARREN_RUNTIME_BASE_PROC_FILES_H_

#include <absl/strings/string_view.h>

// Files of procfs that a container's request may cover with a plain file
// (FS-6). They only tell about the machine; LXCFS and its like put what the
// container's limits allow in their place. Others have to stay: what is masked
// in procfs, and how a process is confined, hangs on them. The list is that of
// runc (libcontainer, checkProcMount), but for /proc/net/dev, which is behind a
// link into the process's own directory. Pure.
namespace warren::base {

inline constexpr absl::string_view kProcFilesToCover[] = {
    "/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg",
    "/proc/meminfo", "/proc/slabinfo",  "/proc/stat",
    "/proc/swaps",   "/proc/uptime",    "/proc/sys/kernel/ns_last_pid"};

// `path`: clean.
inline bool MayCoverProcFile(absl::string_view path) {
  for (const absl::string_view file : kProcFilesToCover) {
    if (path == file) return true;
  }
  return false;
}

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_PROC_FILES_H_
