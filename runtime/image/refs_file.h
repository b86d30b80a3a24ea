#ifndef WARREN_RUNTIME_IMAGE_REFS_FILE_H_
#define WARREN_RUNTIME_IMAGE_REFS_FILE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <optional>
#include <string>
#include <vector>

#include "runtime/image/digest.h"
#include "runtime/image/unpacker.h"

namespace warren::image {

// Its name below the root of the store.
inline constexpr char kRefsFile[] = "refs.json";

// What is kept of one image beside its blobs and layers.
struct ImageRecord {
  Digest id;  // of the configuration
  // Manifests that lead to this configuration, newest last; never empty.
  std::vector<Digest> manifests;
  std::vector<std::string> tags;          // "name:tag", sorted
  std::vector<std::string> repo_digests;  // "name@sha256:…", sorted
  bool pinned = false;
  std::vector<LayerSize> layer_sizes;  // lowest first
  // The image has one more layer (completion.h), of this size.
  std::optional<LayerSize> completion = std::nullopt;
};

// refs.json, the list of all published images: a line
// "warren-images 2 sha256:<hex of everything after the line>", then JSON.
// Version 1 is the same without completions, and is read as well. Pure
// functions.
std::string EncodeRefs(const std::vector<ImageRecord>& records);
// kDataLoss when it is not exactly what EncodeRefs wrote;
// kFailedPrecondition when a newer version of this program wrote it.
absl::StatusOr<std::vector<ImageRecord>> DecodeRefs(absl::string_view text);

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_REFS_FILE_H_
