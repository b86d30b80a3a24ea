#ifndef WARREN_RUNTIME_BASE_REMOVE_TREE_H_
#define WARREN_RUNTIME_BASE_REMOVE_TREE_H_

#include <absl/status/status.h>

#include <string>

#include "runtime/base/deadline.h"

namespace warren::base {

// rm -rf of dirfd/name, whatever a container made of it; no process may change
// the tree meanwhile. A missing name is OK. Follows no symlink and crosses no
// mount: EXDEV where one stands in the way, or is `name` itself.
//
// Three or four descriptors, some 50 KiB of memory and no recursion for a tree
// of any depth and width. What lies deeper than kMaxRemoveDepth directories is
// first moved up into `name` itself, under a name like ".warren-deep-7", so
// that every level above the walk can be remembered and verified:
//
//   name/1/2/…/1024/x/y     ->     name/1/2/…/1024     name/.warren-deep-0/y
//
// Immutable and append-only marks (chattr(1)), which a container with
// CAP_LINUX_IMMUTABLE can leave, are taken off where they stand in the way.
//
// Takes as long as the tree is large, some 10 microseconds for each name on a
// local disk. Ends early with kDeadlineExceeded or kCancelled; the first error
// ends it as well. What was removed until then stays removed, and the next call
// goes on from there.
absl::Status RemoveTree(int dirfd, const std::string& name,
                        const Deadline& deadline);

inline constexpr size_t kMaxRemoveDepth = 1024;

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_REMOVE_TREE_H_
