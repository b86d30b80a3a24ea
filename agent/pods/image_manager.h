#ifndef WARREN_AGENT_PODS_IMAGE_MANAGER_H_
#define WARREN_AGENT_PODS_IMAGE_MANAGER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "agent/cri/cri.h"
#include "runtime/base/clock.h"
#include "runtime/image/image_store.h"

namespace warren::agent {

// The image half of CRI, without gRPC: the image store's values as CRI
// messages. Thread-safe, keeps nothing.
class ImageManager {
 public:
  // Nothing is owned.
  ImageManager(image::ImageStore* images, const base::Clock* clock)
      : images_(images), clock_(clock) {}

  // ListImages. A filter's image is looked up; without one, all.
  std::vector<cri::Image> List(const cri::ImageFilter& filter) const;

  // ImageStatus. A missing image is OK with `image` unset; kInvalidArgument
  // for an empty or malformed reference.
  absl::StatusOr<cri::ImageStatusResponse> Status(
      const cri::ImageStatusRequest& request) const;

  // RemoveImage: the whole image with all names; a missing one is OK.
  absl::Status Remove(const cri::ImageSpec& image);

  // ImageFsInfo: one file system, that of the image store.
  absl::StatusOr<cri::ImageFsInfoResponse> FsInfo() const;

 private:
  image::ImageStore* const images_;
  const base::Clock* const clock_;
};

// One image as CRI shows it: size, pinned, and who it runs as (a number in
// USER sets uid only, text sets username only).
cri::Image ToCri(const image::Image& image);

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_IMAGE_MANAGER_H_
