#include "runtime/image/image_table.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/image/completion.h"

namespace warren::image {
namespace {

bool Contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

// `entry` with its public image showing the names of `record`.
ImageTable::Entry Renamed(const ImageEntry& entry, ImageRecord record) {
  auto image = std::make_shared<Image>(*entry.image);
  image->repo_tags = record.tags;
  image->repo_digests = record.repo_digests;
  return std::make_shared<ImageEntry>(ImageEntry{
      std::move(record), std::move(image), entry.layers, entry.blobs});
}

}  // namespace

std::vector<std::string> LayerDirectories(const std::vector<Digest>& diff_ids,
                                          const std::vector<bool>& opaque,
                                          const std::string& layers_directory) {
  std::vector<std::string> directories;
  std::set<Digest> seen;
  for (size_t i = diff_ids.size(); i > 0; --i) {
    if (seen.insert(diff_ids[i - 1]).second) {
      directories.push_back(
          absl::StrCat(layers_directory, "/", diff_ids[i - 1].hex()));
    }
    if (opaque[i - 1]) break;
  }
  std::reverse(directories.begin(), directories.end());
  return directories;
}

ImageEntry MakeEntry(const ImageRecord& record,
                     const std::vector<KnownManifest>& manifests,
                     const ConfigDocument& config, std::string config_json,
                     std::vector<std::shared_ptr<LayerLease>> layers,
                     const std::vector<bool>& opaque,
                     const std::string& layers_directory) {
  ImageEntry entry{record, nullptr, std::move(layers), {}};
  entry.blobs.insert(record.id);
  for (const KnownManifest& known : manifests) {
    entry.blobs.insert(known.digest);
    for (const Descriptor& layer : known.manifest.layers) {
      entry.blobs.insert(layer.digest);
    }
  }
  auto image = std::make_shared<Image>();
  image->id = record.id.ToString();
  image->repo_tags = record.tags;
  image->repo_digests = record.repo_digests;
  image->pinned = record.pinned;
  image->config = config.config;
  image->size_bytes = manifests.back().size + config_json.size();
  for (const Descriptor& layer : manifests.back().manifest.layers) {
    image->size_bytes += layer.size;
  }
  image->config_json = std::move(config_json);
  std::optional<Digest> chain;
  for (const Digest& diff_id : config.diff_ids) {
    chain = chain.has_value() ? ChainId(*chain, diff_id) : diff_id;
  }
  if (chain.has_value()) image->chain_id = chain->ToString();
  image->layer_dirs =
      LayerDirectories(config.diff_ids, opaque, layers_directory);
  if (record.completion.has_value()) {
    image->layer_dirs.push_back(absl::StrCat(
        layers_directory, "/", CompletionId(config.diff_ids).hex()));
  }
  entry.image = std::move(image);
  return entry;
}

ImageTable::Entry ImageTable::FindId(const Digest& id) const {
  const auto it = entries_.find(id);
  return it == entries_.end() ? nullptr : it->second;
}

absl::StatusOr<ImageTable::Entry> ImageTable::Find(
    absl::string_view reference) const {
  absl::string_view hex = reference;
  const bool prefixed = absl::ConsumePrefix(&hex, "sha256:");
  if (const auto id = Digest::FromHex(hex); id.ok()) {
    if (Entry entry = FindId(*id)) return entry;
    return absl::NotFoundError("no such image");
  }
  // A name before a prefix of an id: "cafe" may be both.
  const auto parsed = ParseReference(reference);
  if (parsed.ok()) {
    const std::string name = parsed->ToString();
    for (const auto& [id, entry] : entries_) {
      if (Contains(entry->record.tags, name) ||
          Contains(entry->record.repo_digests, name)) {
        return entry;
      }
    }
  }
  if (IsLowerHex(hex)) return FindPrefix(hex);
  if (!parsed.ok() && !prefixed) return parsed.status();
  if (!parsed.ok()) {
    return absl::InvalidArgumentError("image id is not hexadecimal");
  }
  return absl::NotFoundError("no such image");
}

absl::StatusOr<ImageTable::Entry> ImageTable::FindPrefix(
    absl::string_view hex) const {
  Entry found;
  for (const auto& [id, entry] : entries_) {
    if (!absl::StartsWith(id.hex(), hex)) continue;
    if (found != nullptr) {
      return absl::InvalidArgumentError("image id prefix is ambiguous");
    }
    found = entry;
  }
  if (found == nullptr) return absl::NotFoundError("no such image");
  return found;
}

std::vector<std::shared_ptr<const Image>> ImageTable::List() const {
  std::vector<std::shared_ptr<const Image>> images;
  for (const auto& [id, entry] : entries_) images.push_back(entry->image);
  return images;
}

ImageTable ImageTable::With(Entry entry) const {
  ImageTable result = *this;
  const Digest id = entry->record.id;
  for (auto& [other_id, other] : result.entries_) {
    if (other_id == id) continue;
    ImageRecord record = other->record;
    auto& tags = record.tags;
    tags.erase(std::remove_if(tags.begin(), tags.end(),
                              [&](const std::string& tag) {
                                return Contains(entry->record.tags, tag);
                              }),
               tags.end());
    if (tags.size() != other->record.tags.size()) {
      other = Renamed(*other, std::move(record));
    }
  }
  result.entries_.insert_or_assign(id, std::move(entry));
  return result;
}

ImageTable ImageTable::Without(const Digest& id) const {
  ImageTable result = *this;
  result.entries_.erase(id);
  return result;
}

std::vector<ImageRecord> ImageTable::Records() const {
  std::vector<ImageRecord> records;
  for (const auto& [id, entry] : entries_) records.push_back(entry->record);
  return records;
}

std::set<Digest> ImageTable::Blobs() const {
  std::set<Digest> blobs;
  for (const auto& [id, entry] : entries_) {
    blobs.insert(entry->blobs.begin(), entry->blobs.end());
  }
  return blobs;
}

}  // namespace warren::image
