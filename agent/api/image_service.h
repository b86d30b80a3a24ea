#ifndef WARREN_AGENT_API_IMAGE_SERVICE_H_
#define WARREN_AGENT_API_IMAGE_SERVICE_H_

#include "agent/api/call_pool.h"
#include "agent/cri/cri.h"
#include "agent/pods/image_manager.h"
#include "runtime/v1/api.grpc.pb.h"

namespace warren::agent {

// runtime.v1.ImageService: the gRPC face of the image manager. Thread-safe.
class ImageService final
    : public cri::ImageService::WithCallbackMethod_PullImage<
          cri::ImageService::WithCallbackMethod_RemoveImage<
              cri::ImageService::Service>> {
 public:
  // Both are borrowed, and outlive the server. PullImage and RemoveImage run on
  // the pool.
  ImageService(ImageManager* images, CallPool* pool)
      : images_(images), pool_(pool) {}

  grpc::Status ListImages(grpc::ServerContext* context,
                          const cri::ListImagesRequest* request,
                          cri::ListImagesResponse* reply) override;
  grpc::Status StreamImages(
      grpc::ServerContext* context, const cri::StreamImagesRequest* request,
      grpc::ServerWriter<cri::StreamImagesResponse>* writer) override;
  grpc::Status ImageStatus(grpc::ServerContext* context,
                           const cri::ImageStatusRequest* request,
                           cri::ImageStatusResponse* reply) override;
  grpc::Status ImageFsInfo(grpc::ServerContext* context,
                           const cri::ImageFsInfoRequest* request,
                           cri::ImageFsInfoResponse* reply) override;
  grpc::ServerUnaryReactor* PullImage(grpc::CallbackServerContext* context,
                                      const cri::PullImageRequest* request,
                                      cri::PullImageResponse* reply) override;
  grpc::ServerUnaryReactor* RemoveImage(
      grpc::CallbackServerContext* context,
      const cri::RemoveImageRequest* request,
      cri::RemoveImageResponse* reply) override;

 private:
  ImageManager* const images_;
  CallPool* const pool_;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_API_IMAGE_SERVICE_H_
