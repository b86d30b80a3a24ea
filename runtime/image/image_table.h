#ifndef WARREN_RUNTIME_IMAGE_IMAGE_TABLE_H_
#define WARREN_RUNTIME_IMAGE_IMAGE_TABLE_H_

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/image/digest.h"
#include "runtime/image/image_store.h"
#include "runtime/image/layer_store.h"
#include "runtime/image/manifest.h"
#include "runtime/image/reference.h"
#include "runtime/image/refs_file.h"

namespace warren::image {

// One published image. Never changed: a new tag makes a new entry.
struct ImageEntry {
  ImageRecord record;
  std::shared_ptr<const Image> image;
  // Lowest first; last the one of record.completion, if any.
  std::vector<std::shared_ptr<LayerLease>> layers;
  std::set<Digest> blobs;  // of all its manifests
};

// A manifest with its digest and length in bytes.
struct KnownManifest {
  Digest digest;
  uint64_t size = 0;
  Manifest manifest;
};

// Puts an entry together. `manifests`: as record.manifests. `layers_directory`:
// absolute path of layers/. `opaque[i]`: layer i hides all below it.
ImageEntry MakeEntry(const ImageRecord& record,
                     const std::vector<KnownManifest>& manifests,
                     const ConfigDocument& config, std::string config_json,
                     std::vector<std::shared_ptr<LayerLease>> layers,
                     const std::vector<bool>& opaque,
                     const std::string& layers_directory);

// The directories of an image's layers in overlayfs' order of need: what an
// opaque layer hides is left out, and of a layer that comes more than once
// only the topmost (the lower ones change nothing, and overlayfs refuses a
// directory twice).
std::vector<std::string> LayerDirectories(const std::vector<Digest>& diff_ids,
                                          const std::vector<bool>& opaque,
                                          const std::string& layers_directory);

// All published images at one moment. Immutable: a change makes a new table,
// so that readers need no lock. Thread-safe.
class ImageTable {
 public:
  using Entry = std::shared_ptr<const ImageEntry>;

  // Look-up rules: ImageStore::Find.
  absl::StatusOr<Entry> Find(absl::string_view reference) const;
  Entry FindId(const Digest& id) const;  // nullptr when missing
  std::vector<std::shared_ptr<const Image>> List() const;

  // This table with `entry` put in under its id; its tags leave the images
  // that had them.
  ImageTable With(Entry entry) const;
  ImageTable Without(const Digest& id) const;

  std::vector<ImageRecord> Records() const;
  std::set<Digest> Blobs() const;

 private:
  absl::StatusOr<Entry> FindPrefix(absl::string_view hex) const;

  std::map<Digest, Entry> entries_;
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_IMAGE_TABLE_H_
