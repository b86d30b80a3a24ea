#ifndef WARREN_RUNTIME_IMAGE_MANIFEST_H_
#define WARREN_RUNTIME_IMAGE_MANIFEST_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/image/compression.h"
#include "runtime/image/digest.h"
#include "runtime/image/image_store.h"

// The three kinds of documents of an image (OCI image specification 1.1 and
// the Docker v2 schema 2 types that mean the same). Parsing is strict: each
// document must be what its media type says and cannot be read as another
// kind (IMG-4). Pure functions; errors are kInvalidArgument.
namespace warren::image {

struct Platform {
  std::string os;
  std::string architecture;  // GOARCH names: "amd64", "arm64"
  std::string variant;
};
// linux and the architecture this program was built for.
const Platform& NodePlatform();

struct Descriptor {
  std::string media_type;
  Digest digest;
  uint64_t size = 0;
  std::optional<Platform> platform;
  std::string ref_name;  // annotation org.opencontainers.image.ref.name
};

struct Index {
  std::vector<Descriptor> manifests;
};

struct Manifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // lowest first
};

struct ConfigDocument {
  ImageConfig config;
  std::vector<Digest> diff_ids;  // lowest first
};

bool IsIndexType(absl::string_view media_type);
bool IsManifestType(absl::string_view media_type);
// How the layer's tar is packed; kInvalidArgument for a type that is no layer.
absl::StatusOr<Compression> LayerCompression(absl::string_view media_type);

// `media_type` is the one of the descriptor that led here; empty for
// index.json, which has none. A "mediaType" inside must be the same.
absl::StatusOr<Index> ParseIndex(absl::string_view text,
                                 absl::string_view media_type);
absl::StatusOr<Manifest> ParseManifest(absl::string_view text,
                                       absl::string_view media_type);
// Also refuses a configuration for another platform than this node's.
absl::StatusOr<ConfigDocument> ParseConfig(absl::string_view text);

// The entry of `index` for this node. Entries for other platforms and of
// other types do not count. With several left: the ones whose ref_name is one
// of `names`; then the first if `first_wins` (the rule inside one
// multi-platform image), or an error (the rule for the top of an archive,
// where several entries are several images).
absl::StatusOr<Descriptor> SelectManifest(const Index& index,
                                          const std::vector<std::string>& names,
                                          bool first_wins);

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_MANIFEST_H_
