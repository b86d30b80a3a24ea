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
#include "runtime/image/platform.h"

// The three kinds of documents of an image (OCI image specification 1.1 and
// the Docker v2 schema 2 types that mean the same). Parsing is strict: each
// document must be what its media type says and cannot be read as another
// kind (IMG-4). Pure functions; errors are kInvalidArgument.
namespace warren::image {

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

// What is whole, but nothing that this node runs: another platform, an
// artifact. kInvalidArgument like all errors here; whoever has a choice passes
// it over. base::Annotate keeps the mark.
absl::Status NotForThisNode(absl::string_view why);
bool IsNotForThisNode(const absl::Status& status);
// A media type for messages: strange characters as '?', cut at 80.
std::string PrintableType(absl::string_view media_type);

bool IsIndexType(absl::string_view media_type);
bool IsManifestType(absl::string_view media_type);
// How the layer's tar is said to be packed (its bytes decide: unpack/); an
// error for a type that is no layer.
absl::StatusOr<Compression> LayerCompression(absl::string_view media_type);

// `media_type` is the one of the descriptor that led here; empty for
// index.json, which has none. A "mediaType" inside must be the same.
absl::StatusOr<Index> ParseIndex(absl::string_view text,
                                 absl::string_view media_type);
// NotForThisNode: a manifest of something else than a container image.
absl::StatusOr<Manifest> ParseManifest(absl::string_view text,
                                       absl::string_view media_type);
// NotForThisNode: a configuration for another platform than `node`.
absl::StatusOr<ConfigDocument> ParseConfig(
    absl::string_view text, const Platform& node = NodePlatform());

// The entry of `index` for this node, as far as the index itself tells (see
// resolve.h). Entries for other platforms and of other types do not count;
// better variants come first. With several left: the ones whose ref_name is one
// of `names`; then the first if `first_wins` (the rule inside one
// multi-platform image), or an error (the rule for the top of an archive,
// where several entries are several images).
absl::StatusOr<Descriptor> SelectManifest(const Index& index,
                                          const std::vector<std::string>& names,
                                          bool first_wins);

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_MANIFEST_H_
