#ifndef WARREN_RUNTIME_IMAGE_TESTING_LAYOUT_BUILDER_H_
#define WARREN_RUNTIME_IMAGE_TESTING_LAYOUT_BUILDER_H_

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/image/compression.h"

// OCI layout archives for tests, true or lying in one place. Test only.
namespace warren::image::testing {

using Json = nlohmann::json;

struct LayerSource {
  std::string tar;
  Compression compression = Compression::kGzip;
};

// How one image is built; every hook may change the document it is given
// before its digest is taken (so that the lie is consistent from there on).
struct LayoutSource {
  std::vector<LayerSource> layers;
  Json process = {{"Cmd", {"/bin/sh"}}};  // "config" of the configuration
  std::function<void(Json*)> config;
  std::function<void(Json*)> manifest;
  std::function<void(Json*)> index;
  // Text in the place of a document.
  std::string raw_config;
  std::string raw_manifest;
  std::string raw_index;
  // Last: files of the archive by path, to break what is consistent.
  std::function<void(std::map<std::string, std::string>*)> files;
};

std::string BuildLayout(const LayoutSource& source);
// Just the files, by path.
std::map<std::string, std::string> LayoutFiles(const LayoutSource& source);
// Digest of the manifest BuildLayout makes, "sha256:…".
std::string ManifestDigest(const LayoutSource& source);

Json MakeDescriptor(const std::string& media_type, const std::string& data);
// Path of a blob inside a layout.
std::string BlobPath(const std::string& data);

}  // namespace warren::image::testing

#endif  // WARREN_RUNTIME_IMAGE_TESTING_LAYOUT_BUILDER_H_
