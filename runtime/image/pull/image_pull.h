#ifndef WARREN_RUNTIME_IMAGE_PULL_IMAGE_PULL_H_
#define WARREN_RUNTIME_IMAGE_PULL_IMAGE_PULL_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "runtime/base/deadline.h"
#include "runtime/image/local_image_store.h"
#include "runtime/image/manifest.h"
#include "runtime/image/pull/layer_fetches.h"
#include "runtime/image/pull/pull_job.h"
#include "runtime/image/reference.h"
#include "runtime/image/registry/credentials.h"
#include "runtime/image/registry/registry_client.h"
#include "runtime/image/resolve.h"
#include "runtime/image/session_directory.h"

namespace warren::image {

// Which registry has it, and under what path there.
registry::Repository RepositoryOf(const Reference& reference);

// One pull from its reference to the published image, on the thread of the
// call. Used once.
class ImagePull {
 public:
  // All borrowed.
  ImagePull(LocalImageStore* store, registry::RegistryClient* client,
            LayerFetches* layers, PullJob* job);

  // Codes: PullTicket::result(). After an error nothing of the image is seen.
  absl::StatusOr<std::shared_ptr<const Image>> Run(
      const Reference& reference, const registry::Credentials& credentials);

 private:
  // What the name is now. Null: the store has it under this very name.
  absl::StatusOr<std::shared_ptr<const Image>> FindCurrent(
      const Reference& reference);
  absl::StatusOr<ImportCandidate> ReadDocuments(const Reference& reference);
  // One document of the image.
  absl::StatusOr<std::string> ReadDocument(const Descriptor& descriptor);
  absl::StatusOr<std::string> FetchConfig(const Descriptor& config);
  absl::StatusOr<ImportCandidate> Keep(const Reference& reference,
                                       ResolvedImage found);
  absl::Status FetchLayers(ImportCandidate* candidate);

  LocalImageStore* const store_;
  registry::RegistryClient* const client_;
  LayerFetches* const layers_;
  PullJob* const job_;
  const base::Deadline deadline_;
  std::string host_;
  std::shared_ptr<registry::Pull> pull_;
  std::optional<registry::Document> top_;   // what the name is now
  std::optional<registry::Document> last_;  // index or manifest read last
  uint64_t read_ = 0;                       // bytes of documents
  std::unique_ptr<SessionDirectory> session_;
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_PULL_IMAGE_PULL_H_
