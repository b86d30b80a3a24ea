#include "runtime/image/resolve.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/image/limits.h"

namespace warren::image {
namespace {

// What was passed over, for the message when nothing is left.
class PassedOver {
 public:
  void Add(std::string what) {
    ++count_;
    if (shown_.size() < kMaxShown) shown_.push_back(std::move(what));
  }
  absl::Status Error(const Platform& node) const {
    std::string text =
        absl::StrCat("no image for ", PlatformName(node), " in the index");
    if (count_ == 0) return Unfit(absl::StrCat(text, ", which is empty"));
    absl::StrAppend(&text, ", which holds: ", absl::StrJoin(shown_, ", "));
    if (count_ > shown_.size()) {
      absl::StrAppend(&text, " and ", count_ - shown_.size(), " more");
    }
    return Unfit(text);
  }

 private:
  static constexpr size_t kMaxShown = 8;
  static absl::Status Unfit(const std::string& text) {
    return NotForThisNode(text);
  }

  std::vector<std::string> shown_;
  size_t count_ = 0;
};

class Resolver {
 public:
  Resolver(const DocumentReader& read, const Platform& node)
      : read_(read), node_(node) {}

  absl::StatusOr<ResolvedImage> Best(const Index& index, int depth);
  absl::StatusOr<ResolvedImage> Only(const Index& index,
                                     const std::vector<std::string>& names);

 private:
  // What an entry leads to; NotForThisNode to pass it over.
  absl::StatusOr<ResolvedImage> Try(const Descriptor& entry, int depth);
  absl::StatusOr<ResolvedImage> TryManifest(const Descriptor& entry);
  absl::StatusOr<std::string> Read(const Descriptor& descriptor);
  std::vector<const Descriptor*> Fitting(const Index& index,
                                         PassedOver* others) const;

  const DocumentReader& read_;
  const Platform& node_;
  size_t documents_ = 0;
};

absl::StatusOr<std::string> Resolver::Read(const Descriptor& descriptor) {
  if (++documents_ > kMaxResolvedDocuments) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", kMaxResolvedDocuments,
                     " documents lead nowhere in the index"));
  }
  return read_(descriptor);
}

std::vector<const Descriptor*> Resolver::Fitting(const Index& index,
                                                 PassedOver* others) const {
  std::vector<const Descriptor*> fit;
  for (const Descriptor& item : index.manifests) {
    if (!IsManifestType(item.media_type) && !IsIndexType(item.media_type)) {
      others->Add(
          absl::StrCat("something of type ", PrintableType(item.media_type)));
    } else if (item.platform.has_value() &&
               !PlatformRank(*item.platform, node_).has_value()) {
      others->Add(PlatformName(*item.platform));
    } else {
      fit.push_back(&item);
    }
  }
  const auto rank = [this](const Descriptor* item) {
    return item->platform.has_value()
               ? PlatformRank(*item->platform, node_).value_or(-1)
               : -1;
  };
  std::stable_sort(fit.begin(), fit.end(),
                   [&rank](const Descriptor* a, const Descriptor* b) {
                     return rank(a) > rank(b);
                   });
  return fit;
}

absl::StatusOr<ResolvedImage> Resolver::TryManifest(const Descriptor& entry) {
  ASSIGN_OR_RETURN_IN(const std::string text, Read(entry), "manifest");
  ASSIGN_OR_RETURN_IN(Manifest manifest, ParseManifest(text, entry.media_type),
                      "manifest");
  ASSIGN_OR_RETURN_IN(std::string config_json, Read(manifest.config),
                      "configuration");
  ASSIGN_OR_RETURN_IN(ConfigDocument config, ParseConfig(config_json, node_),
                      "configuration");
  return ResolvedImage{entry,
                       entry,
                       text.size(),
                       std::move(manifest),
                       std::move(config_json),
                       std::move(config)};
}

absl::StatusOr<ResolvedImage> Resolver::Try(const Descriptor& entry,
                                            int depth) {
  if (!IsIndexType(entry.media_type)) return TryManifest(entry);
  if (depth == kMaxIndexDepth) {
    return absl::InvalidArgumentError("indexes are nested too deep");
  }
  ASSIGN_OR_RETURN_IN(const std::string text, Read(entry), "index");
  ASSIGN_OR_RETURN_IN(const Index index, ParseIndex(text, entry.media_type),
                      "index");
  ASSIGN_OR_RETURN(ResolvedImage found, Best(index, depth + 1));
  found.target = entry;
  return found;
}

absl::StatusOr<ResolvedImage> Resolver::Best(const Index& index, int depth) {
  PassedOver others;
  absl::Status broken;
  for (const Descriptor* entry : Fitting(index, &others)) {
    auto found = Try(*entry, depth);
    if (found.ok() || absl::IsResourceExhausted(found.status())) return found;
    if (IsNotForThisNode(found.status())) {
      others.Add(std::string(found.status().message()));
    } else if (entry->platform.has_value()) {
      return found;
    } else {
      base::Update(&broken, found.status());
    }
  }
  return broken.ok() ? others.Error(node_) : broken;
}

absl::StatusOr<ResolvedImage> Resolver::Only(
    const Index& index, const std::vector<std::string>& names) {
  PassedOver others;
  std::vector<const Descriptor*> fit = Fitting(index, &others);
  const auto is_named = [&names](const Descriptor* item) {
    return !item->ref_name.empty() &&
           std::find(names.begin(), names.end(), item->ref_name) != names.end();
  };
  if (std::any_of(fit.begin(), fit.end(), is_named)) {
    fit.erase(std::remove_if(fit.begin(), fit.end(), std::not_fn(is_named)),
              fit.end());
  }
  std::set<Digest> images;
  absl::StatusOr<ResolvedImage> result = absl::UnknownError("");
  for (const Descriptor* entry : fit) {
    if (images.count(entry->digest) > 0) continue;
    auto found = Try(*entry, 0);
    if (IsNotForThisNode(found.status())) {
      others.Add(std::string(found.status().message()));
      continue;
    }
    if (absl::IsResourceExhausted(found.status())) return found;
    images.insert(entry->digest);
    result = std::move(found);
  }
  if (images.empty()) return others.Error(node_);
  if (images.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("index holds ", images.size(),
                     " images and not one of the asked name"));
  }
  return result;
}

}  // namespace

absl::StatusOr<ResolvedImage> ResolveImage(const Index& top,
                                           const DocumentReader& read,
                                           const ResolveOptions& options) {
  Resolver resolver(read, options.node);
  if (options.first_wins) return resolver.Best(top, 0);
  return resolver.Only(top, options.names);
}

absl::Status CheckLayers(const ResolvedImage& image) {
  const size_t layers = image.manifest.layers.size();
  if (image.config.diff_ids.size() != layers) {
    return absl::InvalidArgumentError(
        absl::StrCat("manifest has ", layers, " layers, configuration has ",
                     image.config.diff_ids.size(), " diff IDs"));
  }
  if (layers == 0) return absl::InvalidArgumentError("image has no layers");
  return absl::OkStatus();
}

}  // namespace warren::image
