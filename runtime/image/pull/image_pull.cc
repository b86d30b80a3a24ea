#include "runtime/image/pull/image_pull.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/image/limits.h"

namespace warren::image {
namespace {

// Bytes of a document in memory.
class TextSink : public registry::BlobSink {
 public:
  absl::Status Write(absl::string_view bytes) override {
    text_.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  }
  absl::Status Finish() override { return absl::OkStatus(); }
  absl::Status Restart() override {
    text_.clear();
    return absl::OkStatus();
  }
  std::string& text() { return text_; }

 private:
  std::string text_;
};

// Of one pull: indexes, manifests, configurations.
constexpr uint64_t kMaxDocumentsBytes = 32 << 20;

// kUnavailable is what a registry answers; of the store it is an error of ours.
absl::StatusOr<std::shared_ptr<const Image>> OfTheStore(
    absl::StatusOr<std::shared_ptr<const Image>> image) {
  if (!absl::IsUnavailable(image.status())) return image;
  return absl::InternalError(image.status().message());
}

// What can be said of the layers before the first byte of them.
absl::StatusOr<std::vector<LayerWanted>> Plan(const ImportCandidate& candidate,
                                              const Limits& limits,
                                              const FreeSpace& free) {
  const std::vector<Descriptor>& blobs = candidate.manifest.manifest.layers;
  std::vector<LayerWanted> wanted;
  uint64_t bytes = 0;
  for (size_t i = 0; i < blobs.size(); ++i) {
    ASSIGN_OR_RETURN(const Compression compression,
                     LayerCompression(blobs[i].media_type));
    // No sum of sizes that a stranger states may overflow.
    if (blobs[i].size > limits.archive_bytes - bytes) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "the layers have more than ", limits.archive_bytes, " bytes"));
    }
    bytes += blobs[i].size;
    wanted.push_back({blobs[i], candidate.config.diff_ids[i], compression,
                      limits.image_entries});
  }
  if (bytes > free.bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no space left for images: the layers have ", bytes,
                     " bytes, room is for ", free.bytes));
  }
  return wanted;
}

}  // namespace

registry::Repository RepositoryOf(const Reference& reference) {
  const size_t slash = reference.name.find('/');
  return {reference.name.substr(0, slash), reference.name.substr(slash + 1)};
}

ImagePull::ImagePull(LocalImageStore* store, registry::RegistryClient* client,
                     LayerFetches* layers, PullJob* job)
    : store_(store),
      client_(client),
      layers_(layers),
      job_(job),
      deadline_(base::Deadline::Never().CancelledBy(job->stop())) {}

absl::StatusOr<std::shared_ptr<const Image>> ImagePull::FindCurrent(
    const Reference& reference) {
  if (reference.digest.has_value()) return nullptr;
  auto here = OfTheStore(store_->Find(reference.ToString()));
  if (absl::IsNotFound(here.status())) return nullptr;
  RETURN_IF_ERROR(here.status());
  ASSIGN_OR_RETURN(const std::optional<Digest> now,
                   pull_->LookUpTag(reference.tag, deadline_));
  if (!now.has_value()) return nullptr;
  const std::vector<std::string>& names = (*here)->repo_digests;
  const std::string name = absl::StrCat(reference.name, "@", now->ToString());
  const bool same = std::find(names.begin(), names.end(), name) != names.end();
  return same ? *here : nullptr;
}

absl::StatusOr<std::string> ImagePull::FetchConfig(const Descriptor& config) {
  if (config.size > kMaxDocumentBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("it is larger than ", kMaxDocumentBytes, " bytes"));
  }
  TextSink sink;
  registry::VerifyingSink verified(config.digest, &sink);
  RETURN_IF_ERROR(
      pull_->FetchBlob(config.digest, config.size, &verified, deadline_));
  return std::move(sink.text());
}

absl::StatusOr<std::string> ImagePull::ReadDocument(
    const Descriptor& descriptor) {
  for (const auto* known : {&top_, &last_}) {
    if (known->has_value() && (*known)->digest == descriptor.digest) {
      return (*known)->bytes;
    }
  }
  // Whatever an index lists: what is read of it has a bound in all.
  if (descriptor.size > kMaxDocumentsBytes - read_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "its documents have more than ", kMaxDocumentsBytes, " bytes"));
  }
  read_ += descriptor.size;
  if (!IsIndexType(descriptor.media_type) &&
      !IsManifestType(descriptor.media_type)) {
    return FetchConfig(descriptor);
  }
  ASSIGN_OR_RETURN(last_, pull_->FetchManifest(descriptor.digest,
                                               descriptor.size, deadline_));
  return last_->bytes;
}

absl::StatusOr<ImportCandidate> ImagePull::ReadDocuments(
    const Reference& reference) {
  ASSIGN_OR_RETURN(top_, reference.digest.has_value()
                             ? pull_->FetchManifest(*reference.digest,
                                                    std::nullopt, deadline_)
                             : pull_->ResolveTag(reference.tag, deadline_));
  Index index;
  if (IsIndexType(top_->media_type)) {
    ASSIGN_OR_RETURN_IN(index, ParseIndex(top_->bytes, top_->media_type),
                        "index");
  } else {
    index.manifests.push_back(
        {top_->media_type, top_->digest, top_->bytes.size(), std::nullopt, ""});
  }
  ResolveOptions options;
  options.first_wins = true;
  ASSIGN_OR_RETURN(ResolvedImage found,
                   ResolveImage(
                       index,
                       [this](const Descriptor& descriptor) {
                         return ReadDocument(descriptor);
                       },
                       options));
  return Keep(reference, std::move(found));
}

// The documents go into the session's directory under their digests.
absl::StatusOr<ImportCandidate> ImagePull::Keep(const Reference& reference,
                                                ResolvedImage found) {
  RETURN_IF_ERROR(CheckLayers(found));
  ASSIGN_OR_RETURN(const std::string manifest,
                   ReadDocument(found.manifest_descriptor));
  for (const auto& [digest, bytes] :
       {std::pair(found.manifest_descriptor.digest, manifest),
        std::pair(found.manifest.config.digest, found.config_json)}) {
    RETURN_IF_ERROR(base::WriteFileAtomic(session_->fd(), digest.hex(), bytes,
                                          0600, /*durable=*/false));
  }
  Digest config_digest = found.manifest.config.digest;
  return ImportCandidate{reference,
                         /*pinned=*/false,
                         top_->digest,
                         {found.manifest_descriptor.digest, found.manifest_size,
                          std::move(found.manifest)},
                         std::move(config_digest),
                         std::move(found.config),
                         std::move(found.config_json),
                         {}};
}

absl::Status ImagePull::FetchLayers(ImportCandidate* candidate) {
  const Limits& limits = store_->limits();
  ASSIGN_OR_RETURN(const FreeSpace free,
                   FreeSpaceOf(store_->root(), limits.free_space_percent));
  ASSIGN_OR_RETURN(const std::vector<LayerWanted> wanted,
                   Plan(*candidate, limits, free));
  std::vector<LayerProgress> progress;
  for (const LayerWanted& layer : wanted) {
    progress.push_back({layer.blob.digest.ToString(), layer.blob.size});
  }
  job_->SetLayers(std::move(progress));
  ASSIGN_OR_RETURN(
      const auto parts,
      layers_->Get(wanted, limits.image_entries, pull_, host_, deadline_,
                   [&](size_t i, const std::shared_ptr<LayerFetch>& fetch) {
                     job_->SetFetch(i, fetch);
                   }));
  for (const auto& part : parts) {
    RETURN_IF_ERROR(part->fetch()->LinkBlob(session_->fd()));
    candidate->layers.push_back(part->fetch()->lease());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Image>> ImagePull::Run(
    const Reference& reference, const registry::Credentials& credentials) {
  const registry::Repository repository = RepositoryOf(reference);
  host_ = repository.host;
  ASSIGN_OR_RETURN(std::unique_ptr<registry::Pull> begun,
                   client_->Begin(repository, credentials));
  pull_ = std::move(begun);
  ASSIGN_OR_RETURN(std::shared_ptr<const Image> current,
                   FindCurrent(reference));
  if (current != nullptr) return current;
  ASSIGN_OR_RETURN(
      session_,
      SessionDirectory::Make(store_->root(), store_->TemporaryName("pull")));
  auto candidate = ReadDocuments(reference);
  RETURN_IF_ERROR(candidate.status());
  absl::StatusOr<std::shared_ptr<const Image>> image = absl::CancelledError();
  absl::Status ready = FetchLayers(&*candidate);
  if (ready.ok()) ready = deadline_.Check();
  if (ready.ok()) {
    image = OfTheStore(store_->Publish(*candidate, session_->fd()));
  } else {
    image = ready;
  }
  if (!image.ok()) {
    candidate->layers.clear();
    store_->layers().Sweep().IgnoreError();  // else: with the next change
  }
  return image;
}

}  // namespace warren::image
