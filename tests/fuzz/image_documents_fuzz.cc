#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "runtime/image/limits.h"
#include "runtime/image/manifest.h"
#include "runtime/image/refs_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace warren::image;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto index = ParseIndex(text, "");
  const auto manifest = ParseManifest(text, "");
  const auto config = ParseConfig(text);
  // One text is one kind of document (IMG-4).
  if (index.ok() && manifest.ok()) std::abort();
  if (manifest.ok() && config.ok()) std::abort();
  if (index.ok() && config.ok()) std::abort();
  if (index.ok()) SelectManifest(*index, {"1"}, false).status().IgnoreError();
  if (manifest.ok() && manifest->layers.size() > kMaxLayers) std::abort();
  DecodeRefs(text).status().IgnoreError();
  return 0;
}
