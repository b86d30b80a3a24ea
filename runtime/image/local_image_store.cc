#include "runtime/image/local_image_store.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/image/import_session.h"

namespace warren::image {
namespace {

class Held : public ImageHold {
 public:
  Held(std::shared_ptr<const Image> image,
       std::vector<std::shared_ptr<LayerLease>> layers)
      : image_(std::move(image)), layers_(std::move(layers)) {}
  const Image& image() const override { return *image_; }

 private:
  const std::shared_ptr<const Image> image_;
  const std::vector<std::shared_ptr<LayerLease>> layers_;
};

void InsertSorted(std::vector<std::string>* list, std::string item) {
  const auto it = std::lower_bound(list->begin(), list->end(), item);
  if (it == list->end() || *it != item) list->insert(it, std::move(item));
}

// The record of an image after one more import of it.
ImageRecord Merge(const ImportCandidate& candidate,
                  const std::shared_ptr<LayerLease>& completion,
                  const ImageTable::Entry& existing, LayerStore& layers) {
  ImageRecord record{candidate.config_digest, {}, {}, {}, false, {}, {}};
  if (existing != nullptr) record = existing->record;
  auto& manifests = record.manifests;
  manifests.erase(std::remove(manifests.begin(), manifests.end(),
                              candidate.manifest.digest),
                  manifests.end());
  manifests.push_back(candidate.manifest.digest);
  const Reference& reference = candidate.reference;
  if (!reference.digest.has_value()) {
    InsertSorted(&record.tags, reference.ToString());
  }
  InsertSorted(&record.repo_digests,
               absl::StrCat(reference.name, "@", candidate.target.ToString()));
  record.pinned = record.pinned || candidate.pinned;
  record.layer_sizes.clear();
  for (const auto& lease : candidate.layers) {
    record.layer_sizes.push_back(layers.SizeOf(lease->diff_id()));
  }
  record.completion.reset();
  if (completion != nullptr) {
    record.completion = layers.SizeOf(completion->diff_id());
  }
  return record;
}

absl::StatusOr<std::string> RandomName() {
  uint64_t random = 0;
  if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
    return base::ErrnoError(errno, "getrandom");
  }
  return absl::StrCat(absl::Hex(random, absl::kZeroPad16));
}

}  // namespace

LocalImageStore::LocalImageStore(Options options)
    : options_(std::move(options)),
      unpacker_(options_.unpack_program, options_.limits),
      table_(std::make_shared<ImageTable>()) {}

LocalImageStore::~LocalImageStore() = default;

absl::StatusOr<std::unique_ptr<LocalImageStore>> LocalImageStore::Open(
    Options options) {
  const std::string root = options.root;
  std::unique_ptr<LocalImageStore> store(
      new LocalImageStore(std::move(options)));
  RETURN_IF_ERROR_IN(store->Prepare(), absl::StrCat("image store ", root));
  RETURN_IF_ERROR_IN(store->Load(), absl::StrCat("image store ", root));
  return store;
}

absl::Status LocalImageStore::Prepare() {
  RETURN_IF_ERROR(base::MakeDirs(AT_FDCWD, options_.root, 0700).status());
  ASSIGN_OR_RETURN(root_, base::OpenAt(AT_FDCWD, options_.root,
                                       O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  struct stat st;
  if (fstat(root_.get(), &st) != 0) return base::ErrnoError(errno, "fstat");
  if (st.st_uid != geteuid()) {
    return absl::FailedPreconditionError("directory belongs to another user");
  }
  if (fchmod(root_.get(), 0700) != 0) return base::ErrnoError(errno, "chmod");
  ASSIGN_OR_RETURN(const std::string random, RandomName());
  tmp_ = absl::StrCat("tmp/", random);
  for (const std::string& directory :
       {std::string("blobs/sha256"), std::string("layers"),
        std::string("leanings"), tmp_}) {
    RETURN_IF_ERROR(base::MakeDirs(root_.get(), directory, 0700).status());
  }
  blobs_ = std::make_unique<BlobStore>(root_.get());
  layers_ = std::make_shared<LayerStore>(root_.get(), tmp_, &unpacker_);
  return absl::OkStatus();
}

std::string LocalImageStore::TemporaryName(absl::string_view kind) const {
  static std::atomic<uint64_t> serial{0};
  return absl::StrCat(tmp_, "/", kind, "-", serial.fetch_add(1));
}

absl::StatusOr<bool> LocalImageStore::LinkBlob(const Digest& blob,
                                               const std::string& name) {
  // A file that no image names is not trusted.
  if (table()->Blobs().count(blob) == 0) return false;
  return blobs_->Link(blob, name);
}

std::shared_ptr<const ImageTable> LocalImageStore::table() const {
  const absl::MutexLock lock(&table_mutex_);
  return table_;
}

void LocalImageStore::SetTable(ImageTable table) {
  auto next = std::make_shared<const ImageTable>(std::move(table));
  // The old one is let go outside of the lock: its leases take another.
  {
    const absl::MutexLock lock(&table_mutex_);
    table_.swap(next);
  }
}

absl::Status LocalImageStore::WriteRefs(const ImageTable& table) {
  std::vector<ImageRecord> records = table.Records();
  for (const ImageRecord& record : unloaded_) {
    if (table.FindId(record.id) == nullptr) records.push_back(record);
  }
  return base::WriteFileAtomic(root_.get(), kRefsFile, EncodeRefs(records),
                               0600,
                               /*durable=*/true);
}

absl::StatusOr<ImageTable::Entry> LocalImageStore::FindEntry(
    absl::string_view reference) {
  if (!list_known_) {
    const absl::MutexLock lock(&change_mutex_);
    RETURN_IF_ERROR(NeedList());
  }
  return table()->Find(reference);
}

absl::StatusOr<std::shared_ptr<const Image>> LocalImageStore::Find(
    absl::string_view reference) {
  ASSIGN_OR_RETURN(const ImageTable::Entry entry, FindEntry(reference));
  return entry->image;
}

std::vector<std::shared_ptr<const Image>> LocalImageStore::List() {
  if (!list_known_) {
    const absl::MutexLock lock(&change_mutex_);
    NeedList().IgnoreError();  // Problems() says it
  }
  return table()->List();
}

absl::StatusOr<std::shared_ptr<ImageHold>> LocalImageStore::Hold(
    absl::string_view reference) {
  ASSIGN_OR_RETURN(const ImageTable::Entry entry, FindEntry(reference));
  return std::make_shared<Held>(entry->image, entry->layers);
}

absl::StatusOr<std::shared_ptr<ImageHold>> LocalImageStore::Rehold(
    const std::string& image_id, const std::vector<std::string>& layer_dirs) {
  std::vector<std::shared_ptr<LayerLease>> leases;
  absl::Status missing;
  const std::string directory = absl::StrCat(options_.root, "/layers/");
  for (const std::string& path : layer_dirs) {
    absl::string_view hex = path;
    const auto diff_id = absl::ConsumePrefix(&hex, directory)
                             ? Digest::FromHex(hex)
                             : absl::InvalidArgumentError("");
    if (!diff_id.ok()) {
      return absl::InvalidArgumentError(
          "directory of a record is not a layer of this store");
    }
    auto lease = layers_->Claim(*diff_id, std::nullopt, {});
    if (absl::IsNotFound(lease.status())) {
      base::Update(&missing, lease.status());
      continue;
    }
    // A look that fails proves nothing: the layer may lie below an overlay.
    leases.push_back(lease.ok() ? *std::move(lease) : layers_->Pin(*diff_id));
  }
  if (!missing.ok()) {
    // The container may run on what is left.
    const absl::MutexLock lock(&change_mutex_);
    kept_.insert(kept_.end(), leases.begin(), leases.end());
    return missing;
  }
  auto image = std::make_shared<Image>();
  if (const auto entry = table()->Find(image_id); entry.ok()) {
    *image = *(*entry)->image;
  }
  image->id = image_id;
  image->layer_dirs = layer_dirs;
  return std::make_shared<Held>(std::move(image), std::move(leases));
}

absl::Status LocalImageStore::Remove(absl::string_view reference) {
  const absl::MutexLock lock(&change_mutex_);
  RETURN_IF_ERROR(NeedList());
  auto entry = table()->Find(reference);
  if (absl::IsNotFound(entry.status())) return absl::OkStatus();
  RETURN_IF_ERROR(entry.status());
  ImageTable next = table()->Without((*entry)->record.id);
  absl::Status written = WriteRefs(next);
  // Removing an image must work on a full disk: then the space is freed before
  // the list is written. After a crash in between, the list names an image
  // whose files are gone, and Load leaves it out.
  if (!written.ok() && !absl::IsResourceExhausted(written)) return written;
  SetTable(std::move(next));
  const bool whole = CheckWhole().ok();
  const std::set<Digest> needed = table()->Blobs();
  absl::Status removed;
  for (const Digest& blob : (*entry)->blobs) {
    if (whole && needed.count(blob) == 0) {
      base::Update(&removed, blobs_->Remove(blob));
    }
  }
  *entry = nullptr;  // with its leases
  base::Update(&removed, layers_->Sweep());
  if (!written.ok()) written = WriteRefs(*table());
  base::Update(&written, removed);
  return written;
}

absl::StatusOr<std::unique_ptr<ImportSession>> LocalImageStore::BeginImport(
    const std::string& reference, bool pinned) {
  ASSIGN_OR_RETURN(Reference parsed, ParseReference(reference));
  {
    const absl::MutexLock lock(&change_mutex_);
    RETURN_IF_ERROR(NeedList());
  }
  return LayoutImport::Begin(this, options_.limits, std::move(parsed), pinned);
}

absl::StatusOr<std::shared_ptr<const Image>> LocalImageStore::Publish(
    const ImportCandidate& candidate, int session_directory) {
  ASSIGN_OR_RETURN(Completed completed, Complete(candidate.config.diff_ids));
  ASSIGN_OR_RETURN(const ImageTable::Entry entry,
                   PublishEntry(candidate, completed, session_directory));
  if (completed.remarks.empty()) return entry->image;
  auto image = std::make_shared<Image>(*entry->image);
  image->remarks = std::move(completed.remarks);
  return image;
}

absl::StatusOr<ImageTable::Entry> LocalImageStore::PublishEntry(
    const ImportCandidate& candidate, const Completed& completed,
    int session_directory) {
  const absl::MutexLock lock(&change_mutex_);
  RETURN_IF_ERROR(NeedList());  // or the new list would forget the old one
  const std::shared_ptr<const ImageTable> old = table();
  const ImageTable::Entry existing = old->FindId(candidate.config_digest);
  const ImageRecord record =
      Merge(candidate, completed.lease, existing, *layers_);
  std::vector<KnownManifest> manifests = {candidate.manifest};
  if (existing != nullptr) {
    ImageRecord others = record;
    others.manifests.pop_back();
    ASSIGN_OR_RETURN(manifests, LoadManifests(others));
    manifests.push_back(candidate.manifest);
  }
  std::vector<std::shared_ptr<LayerLease>> layers = candidate.layers;
  if (completed.lease != nullptr) layers.push_back(completed.lease);
  ASSIGN_OR_RETURN(ImageEntry assembled,
                   Assemble(record, manifests, candidate.config,
                            candidate.config_json, std::move(layers)));
  const auto entry = std::make_shared<ImageEntry>(std::move(assembled));
  ImageTable next = old->With(entry);

  std::vector<Digest> own = {candidate.config_digest,
                             candidate.manifest.digest};
  for (const Descriptor& layer : candidate.manifest.manifest.layers) {
    own.push_back(layer.digest);
  }
  std::sort(own.begin(), own.end());
  own.erase(std::unique(own.begin(), own.end()), own.end());
  absl::Status status;
  for (const Digest& blob : own) {
    base::Update(&status, blobs_->Install(session_directory, blob.hex(), blob));
  }
  // Everything the list is about to name must be on disk before the list.
  if (status.ok() && syncfs(root_.get()) != 0) {
    status = base::ErrnoError(errno, "syncfs");
  }
  if (status.ok()) status = WriteRefs(next);
  if (!status.ok()) {
    const bool whole = CheckWhole().ok();
    const std::set<Digest> needed = table()->Blobs();
    for (const Digest& blob : own) {
      if (whole && needed.count(blob) == 0) blobs_->Remove(blob).IgnoreError();
    }
    return status;
  }
  SetTable(std::move(next));
  return entry;
}

absl::StatusOr<FsUsage> LocalImageStore::Usage() {
  {
    const absl::MutexLock lock(&change_mutex_);
    CheckWhole().IgnoreError();  // Sweep holds back then
  }
  RETURN_IF_ERROR(layers_->Sweep());
  FsUsage usage;
  usage.mountpoint = options_.root;
  RETURN_IF_ERROR(blobs_->Usage(&usage.used_bytes, &usage.inodes_used));
  const LayerSize layers = layers_->Usage();
  usage.used_bytes += layers.bytes;
  usage.inodes_used += layers.inodes;
  return usage;
}

absl::Status LocalImageStore::CollectGarbage() {
  {
    const absl::MutexLock lock(&change_mutex_);
    RETURN_IF_ERROR(CheckWhole());
  }
  absl::Status result = layers_->Sweep();
  base::Update(&result, layers_->SweepUnknown());
  {
    const absl::MutexLock lock(&change_mutex_);
    base::Update(&result, blobs_->RemoveExcept(table()->Blobs()));
  }
  // What earlier runs left half-made, here and from writing the list.
  ASSIGN_OR_RETURN(const auto runs, base::ListDir(root_.get(), "tmp"));
  for (const std::string& run : runs) {
    const std::string path = absl::StrCat("tmp/", run);
    if (path != tmp_)
      base::Update(&result, base::RemoveTree(root_.get(), path));
  }
  ASSIGN_OR_RETURN(const auto files, base::ListDir(root_.get(), "."));
  const absl::MutexLock lock(&change_mutex_);
  for (const std::string& file : files) {
    if (absl::StartsWith(file, absl::StrCat(".", kRefsFile, "."))) {
      base::Update(&result, base::RemoveTree(root_.get(), file));
    }
  }
  return result;
}

}  // namespace warren::image
