#ifndef WARREN_RUNTIME_ROOTFS_TREE_COPY_H_
#define WARREN_RUNTIME_ROOTFS_TREE_COPY_H_

#include <absl/status/status.h>

#include <cstdint>
#include <vector>

#include "runtime/runtime.h"

// Copies what an image has at a volume's place into the volume (FS-8). The
// source is the work of a stranger: it is walked by descriptors, no link is
// followed, nothing but regular files is opened, and everything is bounded.
namespace warren::runtime {

struct TreeCopyOptions {
  // What all volumes of a container may hold at first. Past it:
  // kResourceExhausted.
  uint64_t max_bytes = uint64_t{8} << 30;
  uint64_t max_entries = 1'000'000;
  int max_depth = 256;  // two descriptors each
  // Where the rootfs shows the image's own owners: whose they become. Empty:
  // as shown. An id that is not mapped stays as it is.
  std::vector<IdMapping> uid_mappings;
  std::vector<IdMapping> gid_mappings;
};

// Copies the contents of the directory `from` into the empty directory `to`,
// and from's own owner, mode, times and attributes onto it. Directories,
// regular files, links and FIFOs; device nodes and sockets are left out; hard
// links become files of their own. Of extended attributes security.capability
// and user.*. Takes what it copied off the limits of `options`. Nobody else may
// change either tree meanwhile. On failure `to` is left half full.
absl::Status CopyTree(int from, int to, TreeCopyOptions* options);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_ROOTFS_TREE_COPY_H_
