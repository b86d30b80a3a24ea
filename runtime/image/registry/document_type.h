#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_DOCUMENT_TYPE_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_DOCUMENT_TYPE_H_

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <string>

// What a document under /manifests/ is.
namespace warren::registry {

// The value of the Accept header: all four types that Warren understands. A
// registry that finds its own type missing converts, which changes the digest.
inline constexpr char kAcceptManifests[] =
    "application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, */*;q=0.1";

// The media type of `body`: its "mediaType"; else what its fields show
// ("manifests" an index, "config" or "layers" a manifest), in the family that
// `content_type`, the header of the response, names, OCI when it names none.
// The header alone is never believed: registries send application/json,
// octet-stream and text/plain.
// kDataLoss: no JSON object, or one of no kind. kInvalidArgument: Docker's
// schema 1, which Warren does not run; the message says so.
absl::StatusOr<std::string> DocumentType(absl::string_view body,
                                         absl::string_view content_type);

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_DOCUMENT_TYPE_H_
