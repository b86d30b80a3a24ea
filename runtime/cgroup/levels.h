#ifndef WARREN_RUNTIME_CGROUP_LEVELS_H_
#define WARREN_RUNTIME_CGROUP_LEVELS_H_

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/cgroup/driver.h"

// Changes of v1 limits that a leaf and its inner cgroup both have
// (CgroupLeaf::inner). Pure: nothing is written here.
namespace warren::runtime {

enum class Level : uint8_t {
  kOuter,  // the leaf, whose limits hold
  kInner,  // the cgroup of the programs, which may have written to it
};

struct LevelWrite {
  Level level = Level::kOuter;
  ControlValue value;
};

// What a file says now, without white space around it; "" when it cannot be
// read.
using ReadLevel =
    absl::FunctionRef<std::string(Level level, const std::string& file)>;

// The writes that bring the leaf to `changed` (ChangedValues(); cpusets are not
// empty), in an order that the kernel takes.
std::vector<LevelWrite> PlanOneLevel(std::vector<ControlValue> changed,
                                     ReadLevel now);

// The same for a leaf with an inner cgroup. What is raised is raised outside
// first, what is lowered is lowered inside first. The inner cgroup gets both
// files of a pair (memory and memory plus swap, period and quota) when one of
// them changes, so that it is a copy again whatever was written there. Two
// rules of the kernel bind a cgroup to the one above:
//  - A share of processor time must not be above the parent's
//    (tg_cfs_schedulable_down of kernel/sched/core.c: EINVAL). Without a quota
//    it cannot be: the inner quota goes away first and comes back last.
//  - A cpuset must be a part of the parent's (validate_change of
//    kernel/cgroup/cpuset.c: EACCES and EBUSY). The leaf gets the old and
//    the new list together, then the inner cgroup the new one, then the leaf.
std::vector<LevelWrite> PlanBothLevels(std::vector<ControlValue> changed,
                                       ReadLevel now);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_CGROUP_LEVELS_H_
