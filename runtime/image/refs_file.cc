#include "runtime/image/refs_file.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include <utility>

#include "runtime/base/status.h"
#include "runtime/image/json.h"

namespace warren::image {
namespace {

constexpr absl::string_view kFamily = "warren-images ";
constexpr absl::string_view kVersion = "warren-images 2 ";
constexpr absl::string_view kOldVersion = "warren-images 1 ";

Json EncodeSize(const LayerSize& size) {
  return {{"bytes", size.bytes}, {"inodes", size.inodes}};
}

absl::StatusOr<LayerSize> DecodeSize(const Json& value) {
  LayerSize size;
  ASSIGN_OR_RETURN(size.bytes, RequiredCount(value, "bytes"));
  ASSIGN_OR_RETURN(size.inodes, RequiredCount(value, "inodes"));
  return size;
}

Json EncodeRecord(const ImageRecord& record) {
  Json manifests = Json::array();
  for (const Digest& digest : record.manifests) {
    manifests.push_back(digest.ToString());
  }
  Json layers = Json::array();
  for (const LayerSize& size : record.layer_sizes) {
    layers.push_back(EncodeSize(size));
  }
  Json value = {
      {"id", record.id.ToString()}, {"manifests", std::move(manifests)},
      {"tags", record.tags},        {"repoDigests", record.repo_digests},
      {"pinned", record.pinned},    {"layers", std::move(layers)}};
  if (record.completion.has_value()) {
    value["completion"] = EncodeSize(*record.completion);
  }
  return value;
}

absl::StatusOr<ImageRecord> DecodeRecord(const Json& value) {
  ASSIGN_OR_RETURN(const std::string id_text, RequiredString(value, "id"));
  ASSIGN_OR_RETURN(Digest id, Digest::Parse(id_text));
  ImageRecord record{std::move(id), {}, {}, {}, false, {}, std::nullopt};
  ASSIGN_OR_RETURN(const auto manifests, OptionalStrings(value, "manifests"));
  for (const std::string& text : manifests) {
    ASSIGN_OR_RETURN(Digest digest, Digest::Parse(text));
    record.manifests.push_back(std::move(digest));
  }
  if (record.manifests.empty()) {
    return absl::InvalidArgumentError("image without a manifest");
  }
  ASSIGN_OR_RETURN(record.tags, OptionalStrings(value, "tags"));
  ASSIGN_OR_RETURN(record.repo_digests, OptionalStrings(value, "repoDigests"));
  const Json* pinned = FindKey(value, "pinned");
  record.pinned =
      pinned != nullptr && pinned->is_boolean() && pinned->get<bool>();
  const Json* layers = FindKey(value, "layers");
  if (layers == nullptr || !layers->is_array()) {
    return absl::InvalidArgumentError("image without layers");
  }
  for (const Json& layer : *layers) {
    ASSIGN_OR_RETURN(const LayerSize size, DecodeSize(layer));
    record.layer_sizes.push_back(size);
  }
  if (const Json* completion = FindKey(value, "completion")) {
    ASSIGN_OR_RETURN(record.completion, DecodeSize(*completion));
  }
  return record;
}

absl::StatusOr<std::vector<ImageRecord>> DecodeBody(absl::string_view body) {
  const Json document = Json::parse(body.begin(), body.end(), nullptr, false);
  const Json* images = FindKey(document, "images");
  if (images == nullptr || !images->is_array()) {
    return absl::InvalidArgumentError("no list of images");
  }
  std::vector<ImageRecord> records;
  for (const Json& image : *images) {
    ASSIGN_OR_RETURN(ImageRecord record, DecodeRecord(image));
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace

std::string EncodeRefs(const std::vector<ImageRecord>& records) {
  Json images = Json::array();
  for (const ImageRecord& record : records) {
    images.push_back(EncodeRecord(record));
  }
  const std::string body = Json({{"images", std::move(images)}}).dump(1) + "\n";
  return absl::StrCat(kVersion, Digest::Of(body).ToString(), "\n", body);
}

absl::StatusOr<std::vector<ImageRecord>> DecodeRefs(absl::string_view text) {
  absl::string_view head = text.substr(0, text.find('\n'));
  if (head.size() == text.size()) {
    return absl::DataLossError("list of images is cut short");
  }
  const absl::string_view body = text.substr(head.size() + 1);
  if (!absl::ConsumePrefix(&head, kVersion) &&
      !absl::ConsumePrefix(&head, kOldVersion)) {
    if (absl::StartsWith(head, kFamily)) {
      return absl::FailedPreconditionError(
          "list of images was written by a newer version");
    }
    return absl::DataLossError("list of images has no head line");
  }
  if (head != Digest::Of(body).ToString()) {
    return absl::DataLossError("list of images fails its checksum");
  }
  auto records = DecodeBody(body);
  if (!records.ok()) {
    return absl::DataLossError(records.status().message());
  }
  return records;
}

}  // namespace warren::image
