#include "agent/api/image_service.h"

#include <utility>
#include <vector>

#include "agent/api/rpc.h"
#include "agent/cri/text.h"
#include "runtime/base/status.h"

namespace warren::agent {

using grpc::ServerContext;
using grpc::ServerWriter;

namespace {

constexpr absl::string_view kImageService =
    cri::ImageService::service_full_name();

}  // namespace

// Names and users come out of image files: every reply is cleaned.

grpc::Status ImageService::ListImages(ServerContext* context,
                                      const cri::ListImagesRequest* request,
                                      cri::ListImagesResponse* reply) {
  RpcCall call{.service = kImageService, .name = "ListImages"};
  return RunRpc(context, &call, reply, [&](const CallContext&) {
    for (cri::Image& image : images_->List(request->filter())) {
      *reply->add_images() = std::move(image);
    }
    return absl::OkStatus();
  });
}

grpc::Status ImageService::StreamImages(
    ServerContext* context, const cri::StreamImagesRequest* request,
    ServerWriter<cri::StreamImagesResponse>* writer) {
  RpcCall call{.service = kImageService, .name = "StreamImages"};
  return RunRpc(context, &call, nullptr, [&](const CallContext&) {
    std::vector<cri::Image> images = images_->List(request->filter());
    for (cri::Image& image : images) CleanStrings(&image);
    return StreamItems(std::move(images),
                       &cri::StreamImagesResponse::add_images, writer);
  });
}

grpc::Status ImageService::ImageStatus(ServerContext* context,
                                       const cri::ImageStatusRequest* request,
                                       cri::ImageStatusResponse* reply) {
  RpcCall call{.service = kImageService,
               .name = "ImageStatus",
               .object = request->image().image()};
  return RunRpc(context, &call, reply, [&](const CallContext&) -> absl::Status {
    auto status = images_->Status(*request);
    RETURN_IF_ERROR(status.status());
    *reply = *std::move(status);
    return absl::OkStatus();
  });
}

grpc::Status ImageService::ImageFsInfo(ServerContext* context,
                                       const cri::ImageFsInfoRequest*,
                                       cri::ImageFsInfoResponse* reply) {
  RpcCall call{.service = kImageService, .name = "ImageFsInfo"};
  return RunRpc(context, &call, nullptr,
                [&](const CallContext&) -> absl::Status {
                  auto info = images_->FsInfo();
                  RETURN_IF_ERROR(info.status());
                  *reply = *std::move(info);
                  return absl::OkStatus();
                });
}

// Credentials are in the request: it is in no log line.
grpc::ServerUnaryReactor* ImageService::PullImage(
    grpc::CallbackServerContext* context, const cri::PullImageRequest* request,
    cri::PullImageResponse* reply) {
  RpcCall call{.service = kImageService,
               .name = "PullImage",
               .mutating = true,
               .object = request->image().image(),
               .request = request};
  return StartRpc(
      pool_, context, std::move(call), reply,
      BeginSteps([this, request, reply](const CallContext& caller, RpcCall*) {
        return images_->Pull(*request, reply, caller);
      }));
}

grpc::ServerUnaryReactor* ImageService::RemoveImage(
    grpc::CallbackServerContext* context,
    const cri::RemoveImageRequest* request, cri::RemoveImageResponse*) {
  RpcCall call{.service = kImageService,
               .name = "RemoveImage",
               .mutating = true,
               .object = request->image().image(),
               .request = request};
  return StartRpc(pool_, context, std::move(call), nullptr,
                  [this, request](const CallContext&, RpcCall*) {
                    return images_->Remove(request->image());
                  });
}

}  // namespace warren::agent
