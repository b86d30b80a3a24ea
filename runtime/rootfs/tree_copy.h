#ifndef WARREN_RUNTIME_ROOTFS_TREE_COPY_H_
#define WARREN_RUNTIME_ROOTFS_TREE_COPY_H_

#include <absl/status/status.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/runtime.h"

// Copies what an image has at a volume's place into the volume (FS-8). The
// source is the work of a stranger: it is walked by descriptors, no link is
// followed, nothing but regular files is opened, and everything is bounded, the
// memory for it as base/tree_cursor.h says.
namespace warren::runtime {

struct TreeCopyOptions {
  // Bytes and inodes that all volumes of a container may hold at first. Past
  // them: kResourceExhausted.
  uint64_t max_bytes = uint64_t{8} << 30;
  uint64_t max_entries = 1'000'000;
  size_t max_depth = 256;  // directories
  // The copies belong to the ids that these map the owners of `from` to. Empty:
  // to the owners themselves. An id that is not mapped stays as it is.
  std::vector<IdMapping> uid_mappings;
  std::vector<IdMapping> gid_mappings;
};

// Copies the contents of the directory `from` into the empty directory `to`,
// and from's own owner, mode, times and attributes onto it. Directories,
// regular files, links and FIFOs; device nodes and sockets are left out; hard
// links become files of their own. Of extended attributes security.capability
// and user.*. Subtracts what it copied from the limits of `options`. Both
// descriptors are borrowed, and no other process may change either tree
// meanwhile. On failure `to` is left half full. Cannot be cancelled; the limits
// bound how long it takes.
absl::Status CopyTree(int from, int to, TreeCopyOptions* options);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_ROOTFS_TREE_COPY_H_
