#ifndef WARREN_RUNTIME_IMAGE_RESOLVE_H_
#define WARREN_RUNTIME_IMAGE_RESOLVE_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/image/manifest.h"

namespace warren::image {

// The one image of an index that is for this node, with its documents.
struct ResolvedImage {
  Descriptor target;  // the entry of the top index that led to it
  Descriptor manifest_descriptor;
  uint64_t manifest_size = 0;
  Manifest manifest;
  std::string config_json;
  ConfigDocument config;
};

// The bytes of the document that a descriptor names, verified against its
// digest and size by whoever reads it.
using DocumentReader =
    std::function<absl::StatusOr<std::string>(const Descriptor&)>;

struct ResolveOptions {
  // Names that the wanted entry of the top index may have (ref_name).
  std::vector<std::string> names;
  // The entries of the top index are one image for several platforms, of which
  // the best counts. Otherwise several entries are several images, and more
  // than one that fits is an error. Nested indexes are always of the first
  // kind.
  bool first_wins = false;
  Platform node = NodePlatform();
};

// Finds the image in `top`, and below it in nested indexes (kMaxIndexDepth).
// Whatever is not for this node is passed over, in any order: other platforms,
// artifacts and attestations, nested indexes that hold nothing else. Entries
// with a platform come first, the best variant first; those without are judged
// by their configuration. An entry for this platform that cannot be read is an
// error; one that does not say its platform is passed over if another fits.
// kInvalidArgument when nothing fits, with a list of what is there.
// kResourceExhausted after kMaxResolvedDocuments. Otherwise errors of `read`
// and of the documents.
absl::StatusOr<ResolvedImage> ResolveImage(const Index& top,
                                           const DocumentReader& read,
                                           const ResolveOptions& options);

// kInvalidArgument: manifest and configuration do not have the same layers, or
// none.
absl::Status CheckLayers(const ResolvedImage& image);

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_RESOLVE_H_
