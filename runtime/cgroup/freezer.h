#ifndef WARREN_RUNTIME_CGROUP_FREEZER_H_
#define WARREN_RUNTIME_CGROUP_FREEZER_H_

#include <optional>
#include <string>

#include "runtime/cgroup/tree.h"

// The freezer of cgroup v1 (kernel document cgroup-v1/freezer-subsystem). A
// frozen process takes no signal, not even SIGKILL, until its cgroup and all
// above it are thawed. On v2 a frozen process dies as any other.
namespace warren::runtime {

// Thaws the cgroup `path` and all below it, each of which may be frozen by
// itself. Nothing to do is OK, and so is a file that is not there. Does not
// wait. As bounded as CgroupTree::Walk(): what a container made in its own
// cgroup may be of any depth.
void ThawTree(const CgroupTree& tree, const std::string& path);

// The nearest cgroup above `path` that is frozen by itself and so holds `path`
// frozen; nullopt when there is none. Such a cgroup is not ours to thaw.
std::optional<std::string> FrozenAbove(const CgroupTree& tree,
                                       const std::string& path);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_CGROUP_FREEZER_H_
