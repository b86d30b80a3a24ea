#include "agent/pods/image_manager.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
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

// What a kubelet understands; semantics: cri's errors of image pulls.
absl::Status ForKubelet(const absl::Status& status) {
  if (!absl::IsUnavailable(status)) return status;
  return absl::UnknownError(
      absl::StrCat("RegistryUnavailable: ", status.message()));
}

registry::AuthFields AuthOf(const cri::AuthConfig& auth) {
  return {auth.username(),       auth.password(),       auth.auth(),
          auth.server_address(), auth.identity_token(), auth.registry_token()};
}

// One call of PullImage: begins, waits without a thread, takes the result.
class PullSteps final : public Steps {
 public:
  PullSteps(image::ImagePuller* puller, const cri::PullImageRequest& request,
            cri::PullImageResponse* response, CallContext call)
      : puller_(*puller),
        request_(request),
        response_(*response),
        call_(std::move(call)) {}

  absl::StatusOr<std::optional<Pause>> Next() override {
    if (ticket_ == nullptr) {
      ASSIGN_OR_RETURN(ticket_, puller_.Begin({request_.image().image(),
                                               AuthOf(request_.auth())}));
    }
    if (ticket_->done()) {
      const auto image = ticket_->result();
      if (!image.ok()) return ForKubelet(image.status());
      response_.set_image_ref((*image)->id);
      return std::nullopt;
    }
    RETURN_IF_ERROR(call_.deadline.Check());
    Pause pause;
    pause.until_ns = call_.deadline.monotonic_ns();
    pause.watch = [this](std::function<void()> wake) {
      return ticket_->Watch(std::move(wake));
    };
    return pause;
  }

 private:
  image::ImagePuller& puller_;
  const cri::PullImageRequest& request_;
  cri::PullImageResponse& response_;
  const CallContext call_;
  std::unique_ptr<image::PullTicket> ticket_;
};

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

std::unique_ptr<Steps> ImageManager::Pull(const cri::PullImageRequest& request,
                                          cri::PullImageResponse* response,
                                          const CallContext& call) {
  if (absl::Status bad = CheckReference(request.image()); !bad.ok()) {
    return std::make_unique<Refusal>(std::move(bad));
  }
  return std::make_unique<PullSteps>(puller_, request, response, call);
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
