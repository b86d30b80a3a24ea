#ifndef WARREN_RUNTIME_IMAGE_IMAGE_STORE_H_
#define WARREN_RUNTIME_IMAGE_IMAGE_STORE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

// The seam between the agent and images on disk. Knows nothing of containers:
// it hands out directories of unpacked layers and keeps them while a hold
// exists.
namespace warren::image {

// What Warren uses of an OCI image configuration.
struct ImageConfig {
  std::string user;
  std::vector<std::string> env;  // "KEY=value"
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::string working_dir;
  std::string stop_signal;           // "SIGTERM", "15", "" = none
  std::vector<std::string> volumes;  // declared paths
};

struct Image {
  std::string id;  // "sha256:<64 hex>": digest of the configuration
  std::vector<std::string> repo_tags;     // normalised "name:tag"
  std::vector<std::string> repo_digests;  // "name@sha256:…"
  uint64_t size_bytes = 0;  // manifest + configuration + compressed layers
  bool pinned = false;
  ImageConfig config;
  std::string config_json;              // verbatim
  std::string chain_id;                 // of all layers
  std::vector<std::string> layer_dirs;  // unpacked, lowest first
  // What whoever brought it in should know of how its layers fit together,
  // one sentence each. Only of the image that ImportSession::Commit returns.
  std::vector<std::string> remarks;
};

struct FsUsage {
  std::string mountpoint;  // an existing directory on the image file system
  uint64_t used_bytes = 0;
  uint64_t inodes_used = 0;
};

// Keeps an image's layer directories on disk while alive, also when the image
// is removed meanwhile. Dropping the last hold deletes nothing yet (an agent
// that shuts down drops all while its containers run): Remove, the end of an
// import, Usage and CollectGarbage do.
class ImageHold {
 public:
  virtual ~ImageHold() = default;
  virtual const Image& image() const = 0;
};

// One archive on its way in. Dropping the session without Commit leaves
// nothing behind. Single-threaded.
class ImportSession {
 public:
  virtual ~ImportSession() = default;
  // The next bytes of a tar that holds an OCI layout (oci-layout, index.json,
  // blobs/…). kResourceExhausted past the budgets of IMG-3.
  virtual absl::Status Write(absl::string_view chunk) = 0;
  // Verifies every digest and diff ID, unpacks, publishes the image under
  // the reference given at the start. kInvalidArgument says what is wrong.
  virtual absl::StatusOr<std::shared_ptr<const Image>> Commit() = 0;
};

// Thread-safe.
class ImageStore {
 public:
  virtual ~ImageStore() = default;

  // A full id (with or without "sha256:"), a unique prefix of the id's hex
  // digits, name[:tag] or name@digest; names are normalised first
  // (docker.io/library/…:latest). kNotFound when there is none,
  // kInvalidArgument for bad syntax or an ambiguous prefix, kUnavailable when
  // the list of images cannot be read.
  virtual absl::StatusOr<std::shared_ptr<const Image>> Find(
      absl::string_view reference) = 0;

  // Complete images only, sorted by id.
  virtual std::vector<std::shared_ptr<const Image>> List() = 0;

  // Find() plus a hold on the layers.
  virtual absl::StatusOr<std::shared_ptr<ImageHold>> Hold(
      absl::string_view reference) = 0;
  // For restart: holds the layers of a container's record, also when the
  // image itself is gone. Directories as they were recorded.
  virtual absl::StatusOr<std::shared_ptr<ImageHold>> Rehold(
      const std::string& image_id,
      const std::vector<std::string>& layer_dirs) = 0;

  // Removes the whole image with all its tags and digests; a missing one is
  // OK. Layers still held stay until the last hold goes.
  virtual absl::Status Remove(absl::string_view reference) = 0;

  virtual absl::StatusOr<std::unique_ptr<ImportSession>> BeginImport(
      const std::string& reference, bool pinned) = 0;

  virtual absl::StatusOr<FsUsage> Usage() = 0;

  // Removes blobs, layers and temporary files that no image and no hold
  // needs. Called once after every record was re-held, then as needed.
  // kUnavailable: what is needed is not known whole, so nothing was removed.
  virtual absl::Status CollectGarbage() = 0;

  // While held back, nothing that images or containers may need is deleted,
  // whoever asks: a record cannot be read, and nobody knows which layers it
  // names. Remove takes an image off the list, and its data stays until a
  // CollectGarbage. Ends only after what the record names was re-held.
  virtual void HoldBack(bool held_back) = 0;

  // Files of the store that are damaged or cannot be read now, what is lost
  // with them, and why nothing is deleted; one sentence each.
  virtual std::vector<std::string> Problems() = 0;
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_IMAGE_STORE_H_
