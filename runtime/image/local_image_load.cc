// How the image store comes from its list, and what may be deleted of it.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <stdio.h>

#include <cerrno>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"
#include "runtime/image/local_image_store.h"

namespace warren::image {
namespace {

// Copies of a list that was damaged: this name, or with ".<n>" behind it.
constexpr char kAside[] = "refs.json.corrupt";
constexpr size_t kMaxRefsBytes = 256 << 20;

// The load of an image says nothing about what is on disk.
bool LookFailed(const absl::Status& status) {
  const int error = base::GetErrno(status);
  return error != 0 && error != ENOENT && error != ENOTDIR &&
         !base::IsDamage(status);
}

}  // namespace

absl::Status LocalImageStore::Load() {
  const absl::MutexLock lock(&change_mutex_);
  auto text = base::ReadRegularFileAt(root_.get(), kRefsFile, kMaxRefsBytes);
  absl::StatusOr<std::vector<ImageRecord>> records = std::vector<ImageRecord>();
  if (text.ok()) {
    records = DecodeRefs(*text);
  } else {
    records = text.status();
  }
  if (absl::IsDataLoss(records.status())) {
    RETURN_IF_ERROR(PutAside(records.status().message()));
    records = std::vector<ImageRecord>();
  } else if (base::GetErrno(records.status()) == ENOENT) {
    records = std::vector<ImageRecord>();
  }
  RETURN_IF_ERROR(records.status());
  ImageTable table;
  for (const ImageRecord& record : *records) {
    auto entry = LoadImage(record);
    if (!entry.ok()) {
      problems_.push_back(absl::StrCat("image ", record.id.ToString(), ": ",
                                       entry.status().message()));
      if (LookFailed(entry.status())) unloaded_.push_back(record);
      continue;
    }
    table = table.With(std::make_shared<ImageEntry>(*std::move(entry)));
  }
  SetTable(std::move(table));
  if (const absl::Status whole = CheckWhole(); !whole.ok()) {
    problems_.emplace_back(whole.message());
  }
  return absl::OkStatus();
}

absl::Status LocalImageStore::PutAside(absl::string_view reason) {
  for (int n = 0;; ++n) {
    const std::string aside =
        n == 0 ? std::string(kAside) : absl::StrCat(kAside, ".", n);
    if (renameat2(root_.get(), kRefsFile, root_.get(), aside.c_str(),
                  RENAME_NOREPLACE) == 0) {
      problems_.push_back(absl::StrCat(
          options_.root, "/", kRefsFile, ": ", reason,
          "; all images are lost with it until they are imported again; it is "
          "kept as ",
          aside));
      return absl::OkStatus();
    }
    if (errno != EEXIST) {
      return base::ErrnoError(errno, "put the list of images aside");
    }
  }
}

absl::Status LocalImageStore::CheckWhole() {
  std::vector<ImageRecord> unloaded;
  for (const ImageRecord& record : unloaded_) {
    auto entry = LoadImage(record);
    if (entry.ok()) {
      SetTable(table()->With(std::make_shared<ImageEntry>(*std::move(entry))));
    } else if (LookFailed(entry.status())) {
      unloaded.push_back(record);
    }
  }
  unloaded_ = std::move(unloaded);
  absl::Status whole;
  for (const ImageRecord& record : unloaded_) {
    base::Update(&whole, absl::UnavailableError(absl::StrCat(
                             "no image data is deleted: image ",
                             record.id.ToString(), " could not be looked at")));
  }
  const auto files = base::ListDir(root_.get(), ".");
  if (!files.ok()) {
    base::Update(&whole, absl::UnavailableError(files.status().message()));
  }
  for (const std::string& file :
       files.ok() ? *files : std::vector<std::string>()) {
    if (!absl::StartsWith(file, kAside)) continue;
    base::Update(&whole,
                 absl::UnavailableError(absl::StrCat(
                     "no image data is deleted: ", options_.root, "/", file,
                     " may name it; remove that file to have it deleted")));
  }
  layers_->HoldBack(!whole.ok());
  return whole;
}

absl::StatusOr<std::vector<KnownManifest>> LocalImageStore::LoadManifests(
    const ImageRecord& record) {
  std::vector<KnownManifest> manifests;
  for (const Digest& digest : record.manifests) {
    ASSIGN_OR_RETURN(const std::string text, blobs_->ReadDocument(digest));
    ASSIGN_OR_RETURN(Manifest manifest, ParseManifest(text, ""));
    manifests.push_back({digest, text.size(), std::move(manifest)});
  }
  return manifests;
}

absl::StatusOr<ImageEntry> LocalImageStore::LoadImage(
    const ImageRecord& record) {
  ASSIGN_OR_RETURN(const auto manifests, LoadManifests(record));
  ASSIGN_OR_RETURN(std::string config_json, blobs_->ReadDocument(record.id));
  ASSIGN_OR_RETURN(const ConfigDocument config, ParseConfig(config_json));
  const size_t count = config.diff_ids.size();
  if (record.layer_sizes.size() != count) {
    return absl::DataLossError("number of layers is wrong");
  }
  std::vector<std::shared_ptr<LayerLease>> layers;
  for (size_t i = 0; i < count; ++i) {
    std::vector<Digest> verified;
    for (const KnownManifest& known : manifests) {
      if (known.manifest.layers.size() != count) {
        return absl::DataLossError("number of layers is wrong");
      }
      verified.push_back(known.manifest.layers[i].digest);
    }
    ASSIGN_OR_RETURN(
        auto lease,
        layers_->Claim(config.diff_ids[i], record.layer_sizes[i], verified));
    layers.push_back(std::move(lease));
  }
  return Assemble(record, manifests, config, std::move(config_json),
                  std::move(layers));
}

ImageEntry LocalImageStore::Assemble(
    const ImageRecord& record, const std::vector<KnownManifest>& manifests,
    const ConfigDocument& config, std::string config_json,
    std::vector<std::shared_ptr<LayerLease>> layers) {
  std::vector<bool> opaque;
  for (const Digest& diff_id : config.diff_ids) {
    opaque.push_back(layers_->IsOpaque(diff_id));
  }
  return MakeEntry(record, manifests, config, std::move(config_json),
                   std::move(layers), opaque,
                   absl::StrCat(options_.root, "/layers"));
}

}  // namespace warren::image
