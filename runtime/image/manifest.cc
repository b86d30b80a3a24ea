#include "runtime/image/manifest.h"

#include <absl/strings/ascii.h>
#include <absl/strings/cord.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/image/json.h"
#include "runtime/image/limits.h"

namespace warren::image {
namespace {

constexpr absl::string_view kOciIndex =
    "application/vnd.oci.image.index.v1+json";
constexpr absl::string_view kDockerList =
    "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr absl::string_view kOciManifest =
    "application/vnd.oci.image.manifest.v1+json";
constexpr absl::string_view kDockerManifest =
    "application/vnd.docker.distribution.manifest.v2+json";
constexpr absl::string_view kOciConfig =
    "application/vnd.oci.image.config.v1+json";
constexpr absl::string_view kDockerConfig =
    "application/vnd.docker.container.image.v1+json";

struct LayerType {
  absl::string_view media_type;
  Compression compression;
};
constexpr LayerType kLayerTypes[] = {
    {"application/vnd.oci.image.layer.v1.tar", Compression::kNone},
    {"application/vnd.oci.image.layer.v1.tar+gzip", Compression::kGzip},
    {"application/vnd.oci.image.layer.v1.tar+zstd", Compression::kZstd},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar",
     Compression::kNone},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
     Compression::kGzip},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
     Compression::kZstd},
    {"application/vnd.docker.image.rootfs.diff.tar", Compression::kNone},
    {"application/vnd.docker.image.rootfs.diff.tar.gzip", Compression::kGzip},
    {"application/vnd.docker.image.rootfs.diff.tar.zstd", Compression::kZstd},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
     Compression::kGzip},
};

constexpr char kNotForThisNode[] = "warren/image/not-for-this-node";

absl::Status BadManifest(absl::string_view why) {
  return absl::InvalidArgumentError(why);
}

// What must be true of every manifest and index, so that all readers see the
// same: version 2, the media type it came under, and no key of another kind of
// document, in any spelling (some readers ignore case).
absl::Status CheckKind(const Json& document, absl::string_view media_type,
                       std::initializer_list<absl::string_view> own,
                       std::initializer_list<absl::string_view> foreign) {
  ASSIGN_OR_RETURN(const uint64_t version,
                   RequiredCount(document, "schemaVersion"));
  if (version != 2) return BadManifest("\"schemaVersion\" is not 2");
  ASSIGN_OR_RETURN(const std::string inner,
                   OptionalString(document, "mediaType"));
  if (!media_type.empty() && !inner.empty() && inner != media_type) {
    return BadManifest("\"mediaType\" differs from that of the descriptor");
  }
  for (const auto& item : document.items()) {
    for (const absl::string_view key : foreign) {
      if (absl::EqualsIgnoreCase(item.key(), key)) {
        return BadManifest(absl::StrCat(
            "document has \"", key,
            "\", so that it could be read as another kind of document"));
      }
    }
    for (const absl::string_view key : own) {
      if (item.key() != key && absl::EqualsIgnoreCase(item.key(), key)) {
        return BadManifest(
            absl::StrCat("document has \"", key, "\" in another spelling"));
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Platform>> ParsePlatform(const Json& descriptor) {
  const Json* value = FindKey(descriptor, "platform");
  if (value == nullptr) return std::optional<Platform>();
  if (!value->is_object()) return BadManifest("\"platform\" is not an object");
  Platform platform;
  ASSIGN_OR_RETURN(platform.os, OptionalString(*value, "os"));
  ASSIGN_OR_RETURN(platform.architecture,
                   OptionalString(*value, "architecture"));
  ASSIGN_OR_RETURN(platform.variant, OptionalString(*value, "variant"));
  return std::optional<Platform>(std::move(platform));
}

absl::StatusOr<Descriptor> ParseDescriptor(const Json& value) {
  if (!value.is_object()) return BadManifest("descriptor is not an object");
  ASSIGN_OR_RETURN(std::string media_type, RequiredString(value, "mediaType"));
  ASSIGN_OR_RETURN(const std::string digest_text,
                   RequiredString(value, "digest"));
  ASSIGN_OR_RETURN(Digest digest, Digest::Parse(digest_text));
  ASSIGN_OR_RETURN(const uint64_t size, RequiredCount(value, "size"));
  ASSIGN_OR_RETURN(std::optional<Platform> platform, ParsePlatform(value));
  Descriptor descriptor{std::move(media_type), std::move(digest), size,
                        std::move(platform), ""};
  if (const Json* annotations = FindKey(value, "annotations")) {
    ASSIGN_OR_RETURN(
        descriptor.ref_name,
        OptionalString(*annotations, "org.opencontainers.image.ref.name"));
  }
  return descriptor;
}

absl::Status CheckPlatform(const Json& config, const Platform& node) {
  Platform platform;
  ASSIGN_OR_RETURN(platform.os, OptionalString(config, "os"));
  ASSIGN_OR_RETURN(platform.architecture,
                   OptionalString(config, "architecture"));
  ASSIGN_OR_RETURN(platform.variant, OptionalString(config, "variant"));
  if (PlatformRank(platform, node).has_value()) return absl::OkStatus();
  return NotForThisNode(absl::StrCat("an image for ", PlatformName(platform),
                                     ", not for ", PlatformName(node)));
}

absl::StatusOr<ImageConfig> ParseProcess(const Json& document) {
  ImageConfig config;
  const Json* value = FindKey(document, "config");
  if (value == nullptr) return config;
  if (!value->is_object()) return BadManifest("\"config\" is not an object");
  ASSIGN_OR_RETURN(config.user, OptionalString(*value, "User"));
  ASSIGN_OR_RETURN(config.env, OptionalStrings(*value, "Env"));
  ASSIGN_OR_RETURN(config.entrypoint, OptionalStrings(*value, "Entrypoint"));
  ASSIGN_OR_RETURN(config.cmd, OptionalStrings(*value, "Cmd"));
  ASSIGN_OR_RETURN(config.working_dir, OptionalString(*value, "WorkingDir"));
  ASSIGN_OR_RETURN(config.stop_signal, OptionalString(*value, "StopSignal"));
  if (const Json* volumes = FindKey(*value, "Volumes")) {
    if (!volumes->is_object())
      return BadManifest("\"Volumes\" is not an object");
    for (const auto& item : volumes->items()) {
      if (item.key().find('\0') != std::string::npos) {
        return BadManifest("\"Volumes\" holds a NUL byte");
      }
      config.volumes.push_back(item.key());
    }
  }
  return config;
}

}  // namespace

absl::Status NotForThisNode(absl::string_view why) {
  absl::Status status = absl::InvalidArgumentError(why);
  status.SetPayload(kNotForThisNode, absl::Cord());
  return status;
}

bool IsNotForThisNode(const absl::Status& status) {
  return status.GetPayload(kNotForThisNode).has_value();
}

std::string PrintableType(absl::string_view media_type) {
  constexpr size_t kShown = 80;
  std::string text(media_type.substr(0, kShown));
  for (char& c : text) {
    // RFC 6838, 4.2: names of types.
    if (!absl::ascii_isalnum(c) && !absl::StrContains("/+-._!#$&^", c)) c = '?';
  }
  return text;
}

bool IsIndexType(absl::string_view media_type) {
  return media_type == kOciIndex || media_type == kDockerList;
}

bool IsManifestType(absl::string_view media_type) {
  return media_type == kOciManifest || media_type == kDockerManifest;
}

absl::StatusOr<Compression> LayerCompression(absl::string_view media_type) {
  for (const LayerType& type : kLayerTypes) {
    if (media_type == type.media_type) return type.compression;
  }
  return NotForThisNode(absl::StrCat("something with a part of type ",
                                     PrintableType(media_type),
                                     ", which is no layer of an image"));
}

absl::StatusOr<Index> ParseIndex(absl::string_view text,
                                 absl::string_view media_type) {
  ASSIGN_OR_RETURN(const Json document, ParseJsonObject(text));
  RETURN_IF_ERROR(CheckKind(document, media_type,
                            {"schemaVersion", "mediaType", "manifests"},
                            {"layers", "config", "fsLayers", "history"}));
  ASSIGN_OR_RETURN(const std::string inner,
                   OptionalString(document, "mediaType"));
  if (!inner.empty() && !IsIndexType(inner)) {
    return BadManifest("\"mediaType\" is not that of an index");
  }
  ASSIGN_OR_RETURN(const Json* list,
                   RequiredList(document, "manifests", kMaxArchiveEntries));
  Index index;
  for (const Json& item : *list) {
    ASSIGN_OR_RETURN_IN(Descriptor descriptor, ParseDescriptor(item),
                        "\"manifests\"");
    index.manifests.push_back(std::move(descriptor));
  }
  return index;
}

absl::StatusOr<Manifest> ParseManifest(absl::string_view text,
                                       absl::string_view media_type) {
  ASSIGN_OR_RETURN(const Json document, ParseJsonObject(text));
  RETURN_IF_ERROR(CheckKind(document, media_type,
                            {"schemaVersion", "mediaType", "config", "layers"},
                            {"manifests", "fsLayers", "history"}));
  const Json* config = FindKey(document, "config");
  if (config == nullptr) return BadManifest("\"config\" is missing");
  ASSIGN_OR_RETURN_IN(Descriptor config_descriptor, ParseDescriptor(*config),
                      "\"config\"");
  if (config_descriptor.media_type != kOciConfig &&
      config_descriptor.media_type != kDockerConfig) {
    ASSIGN_OR_RETURN(const std::string artifact,
                     OptionalString(document, "artifactType"));
    return NotForThisNode(absl::StrCat(
        "an artifact of type ",
        PrintableType(artifact.empty() ? config_descriptor.media_type
                                       : artifact),
        ", not a container image"));
  }
  ASSIGN_OR_RETURN(const Json* list,
                   RequiredList(document, "layers", kMaxLayers));
  Manifest manifest{std::move(config_descriptor), {}};
  for (const Json& item : *list) {
    ASSIGN_OR_RETURN_IN(Descriptor layer, ParseDescriptor(item), "\"layers\"");
    RETURN_IF_ERROR(LayerCompression(layer.media_type).status());
    manifest.layers.push_back(std::move(layer));
  }
  return manifest;
}

absl::StatusOr<ConfigDocument> ParseConfig(absl::string_view text,
                                           const Platform& node) {
  ASSIGN_OR_RETURN(const Json document, ParseJsonObject(text));
  // A configuration with keys of a manifest or an index is refused: another
  // reader could take it for one. ("config" and "history" belong here.)
  for (const char* key : {"manifests", "layers", "fsLayers"}) {
    if (document.contains(key)) {
      return BadManifest(absl::StrCat("configuration has \"", key, "\""));
    }
  }
  RETURN_IF_ERROR(CheckPlatform(document, node));
  ConfigDocument result;
  ASSIGN_OR_RETURN(result.config, ParseProcess(document));
  const Json* rootfs = FindKey(document, "rootfs");
  if (rootfs == nullptr) return BadManifest("\"rootfs\" is missing");
  ASSIGN_OR_RETURN(const std::string type, RequiredString(*rootfs, "type"));
  if (type != "layers") return BadManifest("\"rootfs\" type is not \"layers\"");
  ASSIGN_OR_RETURN(const std::vector<std::string> diff_ids,
                   OptionalStrings(*rootfs, "diff_ids"));
  if (diff_ids.size() > kMaxLayers) {
    return BadManifest(
        absl::StrCat("image has more than ", kMaxLayers, " layers"));
  }
  for (const std::string& diff_id : diff_ids) {
    ASSIGN_OR_RETURN_IN(Digest digest, Digest::Parse(diff_id), "\"diff_ids\"");
    result.diff_ids.push_back(std::move(digest));
  }
  return result;
}

absl::StatusOr<Descriptor> SelectManifest(const Index& index,
                                          const std::vector<std::string>& names,
                                          bool first_wins) {
  std::vector<const Descriptor*> fit;
  for (const Descriptor& item : index.manifests) {
    const bool type =
        IsManifestType(item.media_type) || IsIndexType(item.media_type);
    if (!type) continue;
    if (item.platform.has_value() &&
        !PlatformRank(*item.platform, NodePlatform()).has_value()) {
      continue;
    }
    fit.push_back(&item);
  }
  const auto rank = [](const Descriptor* item) {
    return item->platform.has_value()
               ? PlatformRank(*item->platform, NodePlatform()).value_or(-1)
               : -1;
  };
  std::stable_sort(fit.begin(), fit.end(),
                   [&rank](const Descriptor* a, const Descriptor* b) {
                     return rank(a) > rank(b);
                   });
  if (fit.empty()) {
    return BadManifest(absl::StrCat(
        "no image for ", PlatformName(NodePlatform()), " in the index"));
  }
  if (fit.size() > 1 && !first_wins) {
    std::vector<const Descriptor*> named;
    for (const Descriptor* item : fit) {
      if (!item->ref_name.empty() && std::find(names.begin(), names.end(),
                                               item->ref_name) != names.end()) {
        named.push_back(item);
      }
    }
    if (!named.empty()) fit = named;
    const bool same = std::all_of(
        fit.begin(), fit.end(),
        [&](const Descriptor* item) { return item->digest == fit[0]->digest; });
    if (!same) {
      return BadManifest(absl::StrCat("index holds ", fit.size(),
                                      " images and not one of the asked name"));
    }
  }
  return *fit[0];
}

}  // namespace warren::image
