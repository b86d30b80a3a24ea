#ifndef WARREN_AGENT_PODS_IMAGE_MANAGER_H_
#define WARREN_AGENT_PODS_IMAGE_MANAGER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <memory>
#include <string>
#include <vector>

#include "agent/caller/call_context.h"
#include "agent/caller/steps.h"
#include "agent/cri/cri.h"
#include "runtime/base/clock.h"
#include "runtime/image/image_store.h"
#include "runtime/image/pull/image_puller.h"

namespace warren::agent {

// The image half of CRI, without gRPC: the image store's values as CRI
// messages. Thread-safe, keeps nothing. Remove and FsInfo work on the disk.
class ImageManager {
 public:
  // All are borrowed and must outlive it.
  ImageManager(image::ImageStore* images, image::ImagePuller* puller,
               const base::Clock* clock)
      : images_(images), puller_(puller), clock_(clock) {}

  // ListImages. Without a filter: all, sorted by id. With one: the image that
  // it names, or an empty list when that is malformed or not there.
  std::vector<cri::Image> List(const cri::ImageFilter& filter) const;

  // ImageStatus. A missing image is OK with `image` unset; kInvalidArgument
  // for an empty or malformed reference.
  absl::StatusOr<cri::ImageStatusResponse> Status(
      const cri::ImageStatusRequest& request) const;

  // PullImage, as the steps of a call; the response is filled at the end. A
  // caller who leaves gives up its part alone (PullTicket). kUnknown with
  // "RegistryUnavailable: " in front: the registry could not be reached or says
  // "later" (a kubelet unwraps that code and looks for these words).
  // `request` and `response` are borrowed until the steps are gone.
  std::unique_ptr<Steps> Pull(const cri::PullImageRequest& request,
                              cri::PullImageResponse* response,
                              const CallContext& call);

  // RemoveImage: the whole image with all names; a missing one is OK.
  absl::Status Remove(const cri::ImageSpec& image);

  // ImageFsInfo: one file system, that of the image store; bytes and inodes
  // that images use.
  absl::StatusOr<cri::ImageFsInfoResponse> FsInfo() const;

 private:
  image::ImageStore* const images_;
  image::ImagePuller* const puller_;
  const base::Clock* const clock_;
};

// One image as CRI shows it: size, pinned, and who it runs as (a number in
// USER sets uid only, text sets username only).
cri::Image ToCri(const image::Image& image);

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_IMAGE_MANAGER_H_
