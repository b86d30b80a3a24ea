#ifndef WARREN_RUNTIME_IMAGE_LAYER_STACK_H_
#define WARREN_RUNTIME_IMAGE_LAYER_STACK_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <sys/stat.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "runtime/image/leanings.h"

namespace warren::image {

// One unpacked layer of an image.
struct StackedLayer {
  base::UniqueFd directory;  // open for reading
  std::shared_ptr<const Leanings> leanings;
};

// The unpacked layers of an image, one on another, and what a path is in them:
// the rules of overlayfs, read from the layers themselves, without a mount. No
// symlink is followed. Paths are clean and relative, "" = the root. Errors
// carry errno: a look failed. Thread-compatible.
class LayerStack {
 public:
  // Lowest first.
  explicit LayerStack(std::vector<StackedLayer> layers)
      : layers_(std::move(layers)) {}

  enum class Kind {
    kAbsent,  // this layer says nothing of it
    kHidden,  // this layer says that nothing is there, or below it
    kDirectory,
    kLink,   // a symlink
    kOther,  // a file, FIFO …
  };
  // What one layer has at a path.
  struct Sight {
    Kind kind = Kind::kAbsent;
    bool hides_below = false;  // of a directory: one above it is opaque
    struct stat st = {};       // of all but kAbsent and kHidden
    base::UniqueFd parent;     // where the name is
  };
  absl::StatusOr<Sight> Look(size_t layer, const std::string& path) const;

  // Whose owner, mode and attributes a directory of the whole tree has. It
  // need not be there: `holder` is empty then.
  struct Origin {
    std::optional<size_t> holder;  // the highest layer with this directory
    std::optional<size_t> source;  // the one that counts; none: 0755 of root
    // The directory hides this symlink of layer `link_layer`, as no layer
    // lists it.
    std::string hidden_link;
    size_t link_layer = 0;
  };
  absl::StatusOr<Origin> OriginOf(const std::string& path) const;

  // A file of one layer.
  struct File {
    size_t layer = 0;
    std::string path;
  };
  // What the hard link of layer `layer` to `target` is; nothing when no layer
  // below has a file there.
  absl::StatusOr<std::optional<File>> FileBelow(size_t layer,
                                                std::string target) const;
  // True when a layer above `layer` has something in the place of `path`.
  absl::StatusOr<bool> IsCovered(size_t layer, const std::string& path) const;

  size_t size() const { return layers_.size(); }
  const StackedLayer& layer(size_t i) const { return layers_[i]; }

 private:
  std::vector<StackedLayer> layers_;
};

// The target of a symlink.
absl::StatusOr<std::string> ReadLinkAt(int directory, const std::string& name);

// `path` without its last part, and that part.
std::pair<std::string, std::string> SplitPath(const std::string& path);

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_LAYER_STACK_H_
