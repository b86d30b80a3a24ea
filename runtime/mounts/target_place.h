#ifndef WARREN_RUNTIME_MOUNTS_TARGET_PLACE_H_
#define WARREN_RUNTIME_MOUNTS_TARGET_PLACE_H_

#include <string>

// Where a mount's target leads, so that a mount at /var/run, a link to /run, is
// planned as one at /run.
namespace warren::runtime {

// `target` (absolute, clean) with the links of the tree `root_fd` followed, as
// a process whose root that is follows them (path_resolution(7)); never out of
// the tree. Parts that do not exist are kept as they are, also behind a link
// that dangles: they are made there. A path with more than 40 links is kept
// whole.
//
// A hint for the order of mounts, no check: the init opens the target itself,
// when what comes before is mounted. Blocks for a few calls for each part.
std::string PlaceInRoot(int root_fd, const std::string& target);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MOUNTS_TARGET_PLACE_H_
