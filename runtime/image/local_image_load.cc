// How the image store comes from its list, and what may be deleted of it.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <stdio.h>

#include <cerrno>
#include <map>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"
#include "runtime/image/completion.h"
#include "runtime/image/local_image_store.h"

namespace warren::image {
namespace {

// Copies of a list that was damaged: this name, or with ".<n>" behind it.
constexpr char kAside[] = "refs.json.corrupt";
constexpr int kMaxAside = 4;
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
  RETURN_IF_ERROR(LoadList());
  CheckWhole().IgnoreError();  // Problems() says it
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ImageRecord>> LocalImageStore::ReadList() {
  auto text = base::ReadRegularFileAt(root_.get(), kRefsFile, kMaxRefsBytes);
  absl::StatusOr<std::vector<ImageRecord>> records = std::vector<ImageRecord>();
  if (text.ok()) {
    records = DecodeRefs(*text);
  } else {
    records = text.status();
  }
  if (base::GetErrno(records.status()) == ENOENT) {
    return std::vector<ImageRecord>();
  }
  if (!absl::IsDataLoss(records.status())) return records;
  RETURN_IF_ERROR(PutAside(records.status().message()));
  return std::vector<ImageRecord>();
}

absl::Status LocalImageStore::LoadList() {
  const auto records = ReadList();
  list_known_ = records.ok();
  if (absl::IsFailedPrecondition(records.status())) return records.status();
  if (!records.ok()) {
    list_error_ = std::string(records.status().message());
    return absl::OkStatus();
  }
  ImageTable table;
  for (const ImageRecord& record : *records) {
    auto entry = LoadImage(record);
    if (entry.ok()) {
      table = table.With(std::make_shared<ImageEntry>(*std::move(entry)));
    } else if (LookFailed(entry.status())) {
      unloaded_.push_back(record);  // CheckWhole looks again
    } else {
      NoteLoss(absl::StrCat("image ", record.id.ToString(), ": ",
                            entry.status().message(), "; it is lost"));
    }
  }
  SetTable(std::move(table));
  return absl::OkStatus();
}

absl::Status LocalImageStore::NeedList() {
  if (!list_known_) RETURN_IF_ERROR(LoadList());
  if (list_known_) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("the list of images, ", options_.root, "/", kRefsFile,
                   ", cannot be read: ", list_error_));
}

absl::Status LocalImageStore::PutAside(absl::string_view reason) {
  for (int n = 0;; ++n) {
    const std::string aside =
        n == 0 ? std::string(kAside) : absl::StrCat(kAside, ".", n);
    // The first copies know most. The last place takes the newest.
    const bool last = n == kMaxAside - 1;
    if (last) RETURN_IF_ERROR(base::RemoveTree(root_.get(), aside));
    if (renameat2(root_.get(), kRefsFile, root_.get(), aside.c_str(),
                  RENAME_NOREPLACE) == 0) {
      NoteLoss(absl::StrCat(
          options_.root, "/", kRefsFile, ": ", reason,
          "; all images are lost with it until they are imported again; it is "
          "kept as ",
          aside));
      return absl::OkStatus();
    }
    if (errno != EEXIST || last) {
      return base::ErrnoError(errno, "put the list of images aside");
    }
  }
}

void LocalImageStore::NoteLoss(std::string sentence) {
  const absl::MutexLock lock(&problem_mutex_);
  lost_.push_back(std::move(sentence));
}

std::vector<std::string> LocalImageStore::Problems() {
  const absl::MutexLock lock(&problem_mutex_);
  std::vector<std::string> problems = lost_;
  problems.insert(problems.end(), kept_because_.begin(), kept_because_.end());
  return problems;
}

void LocalImageStore::HoldBack(bool held_back) {
  const absl::MutexLock lock(&change_mutex_);
  held_back_ = held_back;
  CheckWhole().IgnoreError();  // tells layers_
}

std::vector<std::string> LocalImageStore::LookAgain() {
  std::vector<std::string> reasons;
  std::vector<ImageRecord> unloaded;
  for (const ImageRecord& record : unloaded_) {
    auto entry = LoadImage(record);
    if (entry.ok()) {
      SetTable(table()->With(std::make_shared<ImageEntry>(*std::move(entry))));
    } else if (LookFailed(entry.status())) {
      unloaded.push_back(record);
      reasons.push_back(
          absl::StrCat("image ", record.id.ToString(),
                       " could not be looked at: ", entry.status().message()));
    }
  }
  unloaded_ = std::move(unloaded);
  return reasons;
}

absl::Status LocalImageStore::CheckWhole() {
  std::vector<std::string> reasons;
  if (const absl::Status list = NeedList(); !list.ok()) {
    reasons.emplace_back(list.message());
  }
  for (std::string& reason : LookAgain()) reasons.push_back(std::move(reason));
  const auto files = base::ListDir(root_.get(), ".");
  if (!files.ok()) reasons.emplace_back(files.status().message());
  std::vector<std::string> copies;
  for (const std::string& file :
       files.ok() ? *files : std::vector<std::string>()) {
    if (absl::StartsWith(file, kAside)) {
      copies.push_back(absl::StrCat(options_.root, "/", file));
    }
  }
  if (!copies.empty()) {
    reasons.push_back(absl::StrCat(
        absl::StrJoin(copies, " or "),
        " may name it; remove that to have unneeded data deleted"));
  }
  if (held_back_) {
    reasons.emplace_back("a record that may name it cannot be read");
  }
  for (std::string& reason : reasons) {
    reason = absl::StrCat("no image data is deleted: ", reason);
  }
  const absl::Status whole = reasons.empty()
                                 ? absl::OkStatus()
                                 : absl::UnavailableError(reasons.front());
  layers_->HoldBack(!whole.ok());
  const absl::MutexLock lock(&problem_mutex_);
  kept_because_ = std::move(reasons);
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
  // An image that was taken in is not lost when the CPU can less than before.
  Platform any_variant = NodePlatform();
  any_variant.variant = "v99";
  ASSIGN_OR_RETURN(const ConfigDocument config,
                   ParseConfig(config_json, any_variant));
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
  if (record.completion.has_value()) {
    ASSIGN_OR_RETURN(auto lease, layers_->Claim(CompletionId(config.diff_ids),
                                                record.completion, {}));
    layers.push_back(std::move(lease));
  }
  return Assemble(record, manifests, config, std::move(config_json),
                  std::move(layers));
}

absl::StatusOr<LocalImageStore::Completed> LocalImageStore::Complete(
    const std::vector<Digest>& diff_ids) {
  std::vector<StackedLayer> layers;
  std::map<Digest, std::shared_ptr<const Leanings>> read;
  size_t bytes = 0;
  for (const Digest& diff_id : diff_ids) {
    ASSIGN_OR_RETURN(StackedLayer layer, layers_->Open(diff_id));
    // A layer that comes more than once is not kept in memory twice.
    const auto [known, fresh] = read.emplace(diff_id, layer.leanings);
    layer.leanings = known->second;
    if (fresh) bytes += layer.leanings->bytes();
    if (bytes > kMaxStackLeaningBytes) {
      return absl::ResourceExhaustedError(
          "the layers lean on too much of each other");
    }
    layers.push_back(std::move(layer));
  }
  const LayerStack stack(std::move(layers));
  ASSIGN_OR_RETURN(Completion completion, PlanCompletion(stack));
  Completed completed;
  completed.remarks = completion.remarks;
  if (completion.empty()) return completed;
  const auto make = [&](int directory) {
    return MakeCompletion(stack, completion, directory);
  };
  ASSIGN_OR_RETURN_IN(completed.lease,
                      layers_->EnsureMade(CompletionId(diff_ids), make),
                      "complete the layers");
  return completed;
}

absl::StatusOr<ImageEntry> LocalImageStore::Assemble(
    const ImageRecord& record, const std::vector<KnownManifest>& manifests,
    const ConfigDocument& config, std::string config_json,
    std::vector<std::shared_ptr<LayerLease>> layers) {
  std::vector<bool> opaque;
  for (const Digest& diff_id : config.diff_ids) {
    ASSIGN_OR_RETURN(const bool hides, layers_->IsOpaque(diff_id));
    opaque.push_back(hides);
  }
  return MakeEntry(record, manifests, config, std::move(config_json),
                   std::move(layers), opaque,
                   absl::StrCat(options_.root, "/layers"));
}

}  // namespace warren::image
