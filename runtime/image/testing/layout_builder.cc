#include "runtime/image/testing/layout_builder.h"

#include "runtime/image/digest.h"
#include "runtime/image/manifest.h"
#include "runtime/image/testing/tar_builder.h"

namespace warren::image::testing {
namespace {

const char* LayerType(Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return "application/vnd.oci.image.layer.v1.tar+gzip";
    case Compression::kZstd:
      return "application/vnd.oci.image.layer.v1.tar+zstd";
    case Compression::kNone:
      break;
  }
  return "application/vnd.oci.image.layer.v1.tar";
}

}  // namespace

Json MakeDescriptor(const std::string& media_type, const std::string& data) {
  return {{"mediaType", media_type},
          {"digest", Digest::Of(data).ToString()},
          {"size", data.size()}};
}

std::string BlobPath(const std::string& data) {
  return "blobs/sha256/" + Digest::Of(data).hex();
}

std::map<std::string, std::string> LayoutFiles(const LayoutSource& source) {
  std::map<std::string, std::string> files;
  Json diff_ids = Json::array();
  Json layers = Json::array();
  for (const LayerSource& layer : source.layers) {
    const std::string blob = Compress(layer.tar, layer.compression);
    diff_ids.push_back(Digest::Of(layer.tar).ToString());
    layers.push_back(MakeDescriptor(LayerType(layer.compression), blob));
    files[BlobPath(blob)] = blob;
  }
  Json config = {{"os", "linux"},
                 {"architecture", NodePlatform().architecture},
                 {"config", source.process},
                 {"rootfs", {{"type", "layers"}, {"diff_ids", diff_ids}}}};
  if (source.config) source.config(&config);
  const std::string config_text =
      source.raw_config.empty() ? config.dump() : source.raw_config;
  Json manifest = {
      {"schemaVersion", 2},
      {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
      {"config",
       MakeDescriptor("application/vnd.oci.image.config.v1+json", config_text)},
      {"layers", layers}};
  if (source.manifest) source.manifest(&manifest);
  const std::string manifest_text =
      source.raw_manifest.empty() ? manifest.dump() : source.raw_manifest;
  Json index = {
      {"schemaVersion", 2},
      {"manifests",
       Json::array({MakeDescriptor("application/vnd.oci.image.manifest.v1+json",
                                   manifest_text)})}};
  if (source.index) source.index(&index);
  files[BlobPath(config_text)] = config_text;
  files[BlobPath(manifest_text)] = manifest_text;
  files["index.json"] =
      source.raw_index.empty() ? index.dump() : source.raw_index;
  files["oci-layout"] = R"({"imageLayoutVersion":"1.0.0"})";
  if (source.files) source.files(&files);
  return files;
}

std::string BuildLayout(const LayoutSource& source) {
  TarBuilder tar;
  for (const auto& [path, data] : LayoutFiles(source)) tar.File(path, data);
  return tar.Build();
}

std::string ManifestDigest(const LayoutSource& source) {
  const auto files = LayoutFiles(source);
  return Json::parse(files.at("index.json"))["manifests"][0]["digest"];
}

}  // namespace warren::image::testing
