#ifndef WARREN_RUNTIME_IMAGE_UNPACK_LAYER_TREE_H_
#define WARREN_RUNTIME_IMAGE_UNPACK_LAYER_TREE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"

// The names of a layer while it is written: where a path leads that goes
// through symlinks of the same layer, and how a whole tree is removed. Nothing
// is ever left to the kernel to follow: every component is opened by
// descriptor, below the root.
namespace warren::image {

// Names that stand for whiteouts start so (OCI image specification,
// "Whiteouts").
inline constexpr char kWhiteoutPrefix[] = ".wh.";
inline constexpr char kOpaqueName[] = ".wh..wh..opq";

// Where a path to a directory leads.
struct Walked {
  // Without any link: components below the root.
  std::vector<std::string> parts;
  // The directory; invalid when it is missing (some of the last parts are, or
  // a whiteout is in the place of one).
  base::UniqueFd directory;
  // The layer says that nothing of the layers below is seen there: a
  // directory on the way is opaque, or a whiteout is on the way.
  bool hidden = false;
};

// Walks `parts` (none is "..") from the directory `root`, which is borrowed.
// Symlinks are read and resolved as in a root of their own: an absolute one
// starts again at `root`, ".." at the top stays there. Makes nothing.
// kInvalidArgument: a loop (more than kMaxLinks), a walk of more than
// kMaxWalkSteps, a result that is too long or too deep, something that is
// neither directory nor link in the way, a name that stands for a whiteout.
absl::StatusOr<Walked> WalkLayer(int root,
                                 const std::vector<std::string>& parts);

// Removes `name` in `directory`, whatever it is, with all that is in it.
// Missing is OK. Needs one descriptor at a time, however deep.
absl::Status RemoveAt(int directory, const std::string& name);

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_UNPACK_LAYER_TREE_H_
