#ifndef WARREN_AGENT_CONVERT_VOLUME_IMAGES_H_
#define WARREN_AGENT_CONVERT_VOLUME_IMAGES_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <map>
#include <memory>
#include <string>

#include "agent/cri/cri.h"
#include "runtime/image/image_store.h"
#include "warren/record/v1/record.pb.h"

// Images that containers mount as volumes: held like the image a container
// runs from, so that its layers stay on disk as long as the container exists.
namespace warren::agent {

// By the place of the mount in the request.
using VolumeHolds = std::map<int, std::shared_ptr<image::ImageHold>>;

// What the kubelet tells a failed image volume by, before anything else.
absl::Status ImageVolumeError(const absl::Status& status);

// Holds every image that a mount names. kInvalidArgument for an empty or
// malformed reference, kNotFound for one that is not local.
absl::StatusOr<VolumeHolds> HoldVolumeImages(
    image::ImageStore* images, const cri::ContainerConfig& config);
// For restart: holds what the record names, also if the image itself is gone.
absl::StatusOr<VolumeHolds> ReholdVolumeImages(
    image::ImageStore* images,
    const ::warren::record::v1::ContainerRecord& record);

std::map<int, const image::Image*> ImagesOf(const VolumeHolds& holds);

void Put(const VolumeHolds& holds,
         ::warren::record::v1::ContainerRecord* record);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CONVERT_VOLUME_IMAGES_H_
