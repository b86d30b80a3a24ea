#ifndef WARREN_RUNTIME_IMAGE_IMPORT_SESSION_H_
#define WARREN_RUNTIME_IMAGE_IMPORT_SESSION_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/image/archive_reader.h"
#include "runtime/image/image_store.h"
#include "runtime/image/limits.h"
#include "runtime/image/local_image_store.h"
#include "runtime/image/manifest.h"
#include "runtime/image/reference.h"
#include "runtime/image/session_directory.h"

namespace warren::image {

// ImportSession of LocalImageStore. Blobs arrive in a directory of the
// session's own; Commit resolves index.json -> [index ->] manifest ->
// configuration, checks every size and digest on the way, unpacks the layers
// and publishes. The directory goes with the session. Single-threaded.
class LayoutImport : public ImportSession {
 public:
  // `store` is borrowed and longer-lived.
  static absl::StatusOr<std::unique_ptr<ImportSession>> Begin(
      LocalImageStore* store, const Limits& limits, Reference reference,
      bool pinned);

  absl::Status Write(absl::string_view chunk) override;
  absl::StatusOr<std::shared_ptr<const Image>> Commit() override;

 private:
  LayoutImport(LocalImageStore* store,
               std::unique_ptr<SessionDirectory> directory, uint64_t budget,
               uint64_t max_entries, Reference reference, bool pinned);

  // The bytes of a document that `descriptor` names, of exactly its size.
  absl::StatusOr<std::string> ReadDocument(const Descriptor& descriptor) const;
  absl::StatusOr<ImportCandidate> ReadDocuments() const;
  absl::StatusOr<std::shared_ptr<const Image>> CommitOnce();
  absl::Status UnpackLayers(ImportCandidate* candidate) const;

  LocalImageStore* const store_;
  const std::unique_ptr<SessionDirectory> directory_;
  ArchiveReader archive_;
  const uint64_t max_entries_;  // of all layers together
  const Reference reference_;
  const bool pinned_;
  bool committed_ = false;
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_IMPORT_SESSION_H_
