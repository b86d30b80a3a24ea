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
// messages. Thread-safe, keeps nothing. Remove and FsInfo work on the disk.
class ImageManager {
 public:
  // Both are borrowed and must outlive it.
  ImageManager(image::ImageStore* images, const base::Clock* clock)
      : images_(images), clock_(clock) {}

  // ListImages. Without a filter: all, sorted by id. With one: the image that
  // it names, or an empty list when that is malformed or not there.
  std::vector<cri::Image> List(const cri::ImageFilter& filter) const;

  // ImageStatus. A missing image is OK with `image` unset; kInvalidArgument
  // for an empty or malformed reference.
  absl::StatusOr<cri::ImageStatusResponse> Status(
      const cri::ImageStatusRequest& request) const;

  // RemoveImage: the whole image with all names; a missing one is OK.
  absl::Status Remove(const cri::ImageSpec& image);

  // ImageFsInfo: one file system, that of the image store; bytes and inodes
  // that images use.
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
