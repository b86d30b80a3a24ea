#include "runtime/image/registry/document_type.h"

#include <absl/status/status.h>
#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <cstdint>

#include "runtime/image/json.h"

namespace warren::registry {
namespace {

constexpr size_t kMaxTypeBytes = 255;

bool IsSchema1(const image::Json& document, absl::string_view type) {
  if (absl::StartsWith(type,
                       "application/vnd.docker.distribution.manifest.v1+")) {
    return true;
  }
  const image::Json* const version = image::FindKey(document, "schemaVersion");
  return version != nullptr && version->is_number() && *version == 1;
}

}  // namespace

absl::StatusOr<std::string> DocumentType(absl::string_view body,
                                         absl::string_view content_type) {
  const auto document = image::ParseJsonObject(body);
  if (!document.ok()) {
    return absl::DataLossError(
        absl::StrCat("sends no manifest: ", document.status().message()));
  }
  const auto own = image::OptionalString(*document, "mediaType");
  if (!own.ok() || own->size() > kMaxTypeBytes) {
    return absl::DataLossError("sends no manifest: mediaType is no type");
  }
  if (IsSchema1(*document, *own)) {
    return absl::InvalidArgumentError(
        "the image is a Docker schema 1 manifest, which nothing supports any "
        "more: push it again with a current tool");
  }
  if (!own->empty()) return *own;
  const bool docker = absl::StrContains(absl::AsciiStrToLower(content_type),
                                        "application/vnd.docker.");
  if (image::FindKey(*document, "manifests") != nullptr) {
    return docker ? "application/vnd.docker.distribution.manifest.list.v2+json"
                  : "application/vnd.oci.image.index.v1+json";
  }
  if (image::FindKey(*document, "layers") != nullptr ||
      image::FindKey(*document, "config") != nullptr) {
    return docker ? "application/vnd.docker.distribution.manifest.v2+json"
                  : "application/vnd.oci.image.manifest.v1+json";
  }
  return absl::DataLossError(
      "sends no manifest: neither manifests nor layers in it");
}

}  // namespace warren::registry
