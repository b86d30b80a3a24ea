#include "runtime/image/import_session.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"
#include "runtime/image/resolve.h"

namespace warren::image {

absl::StatusOr<std::unique_ptr<ImportSession>> LayoutImport::Begin(
    LocalImageStore* store, const Limits& limits, Reference reference,
    bool pinned) {
  ASSIGN_OR_RETURN(const FreeSpace free,
                   FreeSpaceOf(store->root(), limits.free_space_percent));
  ASSIGN_OR_RETURN(
      auto directory,
      SessionDirectory::Make(store->root(), store->TemporaryName("import")));
  return std::unique_ptr<ImportSession>(new LayoutImport(
      store, std::move(directory), std::min(free.bytes, limits.archive_bytes),
      limits.image_entries, std::move(reference), pinned));
}

LayoutImport::LayoutImport(LocalImageStore* store,
                           std::unique_ptr<SessionDirectory> directory,
                           uint64_t budget, uint64_t max_entries,
                           Reference reference, bool pinned)
    : store_(store),
      directory_(std::move(directory)),
      archive_(directory_->fd(), budget),
      max_entries_(max_entries),
      reference_(std::move(reference)),
      pinned_(pinned) {}

absl::Status LayoutImport::Write(absl::string_view chunk) {
  if (committed_) {
    return absl::FailedPreconditionError("import is already committed");
  }
  return archive_.Write(chunk);
}

absl::StatusOr<std::string> LayoutImport::ReadDocument(
    const Descriptor& descriptor) const {
  const auto blob = archive_.blobs().find(descriptor.digest);
  if (blob == archive_.blobs().end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(descriptor.digest.ToString(), " is not in the archive"));
  }
  if (blob->second != descriptor.size) {
    return absl::InvalidArgumentError(absl::StrCat(descriptor.digest.ToString(),
                                                   " has not the size that ",
                                                   "its descriptor states"));
  }
  if (descriptor.size > kMaxDocumentBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(descriptor.digest.ToString(), " is larger than ",
                     kMaxDocumentBytes, " bytes"));
  }
  return base::ReadRegularFileAt(directory_->fd(), descriptor.digest.hex(),
                                 kMaxDocumentBytes);
}

absl::StatusOr<ImportCandidate> LayoutImport::ReadDocuments() const {
  ASSIGN_OR_RETURN_IN(const Index top, ParseIndex(archive_.index_json(), ""),
                      "index.json");
  ResolveOptions options;
  options.names = {reference_.tag, reference_.ToString()};
  const auto read = [this](const Descriptor& descriptor) {
    return ReadDocument(descriptor);
  };
  ASSIGN_OR_RETURN_IN(ResolvedImage found, ResolveImage(top, read, options),
                      "index.json");
  if (reference_.digest.has_value() &&
      *reference_.digest != found.target.digest) {
    return absl::InvalidArgumentError(
        absl::StrCat("archive holds ", found.target.digest.ToString(),
                     ", not the digest of the reference"));
  }
  RETURN_IF_ERROR(CheckLayers(found));
  Digest config_digest = found.manifest.config.digest;
  return ImportCandidate{reference_,
                         pinned_,
                         found.target.digest,
                         {found.manifest_descriptor.digest, found.manifest_size,
                          std::move(found.manifest)},
                         std::move(config_digest),
                         std::move(found.config),
                         std::move(found.config_json),
                         {}};
}

absl::Status LayoutImport::UnpackLayers(ImportCandidate* candidate) const {
  const std::vector<Descriptor>& layers = candidate->manifest.manifest.layers;
  // All that can be said without unpacking is said before.
  for (const Descriptor& layer : layers) {
    const auto blob = archive_.blobs().find(layer.digest);
    if (blob == archive_.blobs().end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "layer ", layer.digest.ToString(), " is not in the archive"));
    }
    if (blob->second != layer.size) {
      return absl::InvalidArgumentError(
          absl::StrCat("layer ", layer.digest.ToString(),
                       " has not the size that its descriptor states"));
    }
  }
  uint64_t left = max_entries_;
  for (size_t i = 0; i < layers.size(); ++i) {
    ASSIGN_OR_RETURN(const Compression compression,
                     LayerCompression(layers[i].media_type));
    ASSIGN_OR_RETURN(const base::UniqueFd blob,
                     base::OpenAt(directory_->fd(), layers[i].digest.hex(),
                                  O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    ASSIGN_OR_RETURN_IN(
        auto lease,
        store_->layers().Ensure(candidate->config.diff_ids[i], layers[i].digest,
                                blob.get(), compression, left),
        absl::StrCat("layer ", i + 1, " of ", layers.size()));
    candidate->layers.push_back(std::move(lease));
    const uint64_t entries =
        store_->layers().SizeOf(candidate->config.diff_ids[i]).inodes;
    if (entries > left) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the layers have more than ", max_entries_,
                       " files and directories"));
    }
    left -= entries;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Image>> LayoutImport::CommitOnce() {
  RETURN_IF_ERROR(archive_.Finish());
  ASSIGN_OR_RETURN(ImportCandidate candidate, ReadDocuments());
  RETURN_IF_ERROR(UnpackLayers(&candidate));
  return store_->Publish(candidate, directory_->fd());
}

absl::StatusOr<std::shared_ptr<const Image>> LayoutImport::Commit() {
  if (committed_) {
    return absl::FailedPreconditionError("import is already committed");
  }
  committed_ = true;
  auto image = CommitOnce();
  // Layers of a failed import lost their leases with its candidate.
  absl::Status cleaned = directory_->Remove();
  base::Update(&cleaned, store_->layers().Sweep());
  if (!image.ok()) {
    return base::Annotate(image.status(),
                          absl::StrCat("import ", reference_.ToString()));
  }
  return image;
}

}  // namespace warren::image
