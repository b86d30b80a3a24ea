#ifndef WARREN_RUNTIME_CGROUP_OOM_KILLS_H_
#define WARREN_RUNTIME_CGROUP_OOM_KILLS_H_

#include <absl/status/statusor.h>

#include <string>

#include "runtime/base/deadline.h"
#include "runtime/cgroup/tree.h"

// Whether the kernel killed processes of a cgroup for want of memory: the line
// "oom_kill N" of v1's memory.oom_control and v2's memory.events. v2 counts
// them in every cgroup above the victim, v1 only where it was. Thread-safe.
namespace warren::runtime {

// What `file`, relative to `directory`, says; false when it is not there.
absl::StatusOr<bool> SaysOomKill(int directory, const std::string& file);

// v1: whether memory.oom_control of `path` or of a cgroup below it says so. The
// walk ends at the first that does. `path` may be gone.
absl::StatusOr<bool> SaysOomKillBelow(const CgroupTree& tree,
                                      const std::string& path,
                                      const base::Deadline& deadline);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_CGROUP_OOM_KILLS_H_
