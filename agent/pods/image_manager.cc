#include "agent/pods/image_manager.h"

#include <absl/strings/numbers.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "agent/cri/validate.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

// {"chainID": …, "imageSpec": <configuration of the image>}
std::string Info(const image::Image& image) {
  using Json = nlohmann::ordered_json;
  // The store has parsed it before, so it is JSON of bounded depth.
  Json spec = Json::parse(image.config_json, nullptr,
                          /*allow_exceptions=*/false);
  if (spec.is_discarded()) spec = nullptr;
  const Json info = {{"chainID", image.chain_id},
                     {"imageSpec", std::move(spec)}};
  return info.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// A reference as a request gives it; no store need look at an empty one.
absl::Status CheckReference(const cri::ImageSpec& image) {
  return CheckName("image.image", image.image());
}

}  // namespace

cri::Image ToCri(const image::Image& image) {
  cri::Image out;
  out.set_id(image.id);
  out.mutable_repo_tags()->Assign(image.repo_tags.begin(),
                                  image.repo_tags.end());
  out.mutable_repo_digests()->Assign(image.repo_digests.begin(),
                                     image.repo_digests.end());
  out.set_size(image.size_bytes);
  out.set_pinned(image.pinned);
  out.mutable_spec()->set_image(image.id);
  // "uid[:gid]" or "name[:group]"; a kubelet that must run as non-root
  // decides by which of the two is set.
  const std::string user =
      image.config.user.substr(0, image.config.user.find(':'));
  const bool digits =
      !user.empty() && std::all_of(user.begin(), user.end(),
                                   [](char c) { return c >= '0' && c <= '9'; });
  int64_t uid = 0;
  if (digits && absl::SimpleAtoi(user, &uid)) {
    out.mutable_uid()->set_value(uid);
  } else {
    out.set_username(user);
  }
  return out;
}

std::vector<cri::Image> ImageManager::List(
    const cri::ImageFilter& filter) const {
  std::vector<cri::Image> images;
  if (!filter.image().image().empty()) {
    if (const auto found = images_->Find(filter.image().image()); found.ok()) {
      images.push_back(ToCri(**found));
    }
    return images;
  }
  for (const auto& image : images_->List()) images.push_back(ToCri(*image));
  return images;
}

absl::StatusOr<cri::ImageStatusResponse> ImageManager::Status(
    const cri::ImageStatusRequest& request) const {
  RETURN_IF_ERROR(CheckReference(request.image()));
  cri::ImageStatusResponse response;
  const auto found = images_->Find(request.image().image());
  if (absl::IsNotFound(found.status())) return response;
  RETURN_IF_ERROR(found.status());
  *response.mutable_image() = ToCri(**found);
  if (request.verbose()) {
    (*response.mutable_info())["info"] = Info(**found);
  }
  return response;
}

absl::Status ImageManager::Remove(const cri::ImageSpec& image) {
  RETURN_IF_ERROR(CheckReference(image));
  const absl::Status status = images_->Remove(image.image());
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<cri::ImageFsInfoResponse> ImageManager::FsInfo() const {
  ASSIGN_OR_RETURN(const image::FsUsage usage, images_->Usage());
  cri::ImageFsInfoResponse response;
  cri::FilesystemUsage* out = response.add_image_filesystems();
  out->set_timestamp(clock_->RealNow());
  out->mutable_fs_id()->set_mountpoint(usage.mountpoint);
  out->mutable_used_bytes()->set_value(usage.used_bytes);
  out->mutable_inodes_used()->set_value(usage.inodes_used);
  return response;
}

}  // namespace warren::agent
