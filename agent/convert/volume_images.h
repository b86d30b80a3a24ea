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
// Thread-safe; in memory only, apart from the image store's own errors.
namespace warren::agent {

// By the place of the mount in the request. Dropping it drops the holds.
using VolumeHolds = std::map<int, std::shared_ptr<image::ImageHold>>;

// `status` with "ImageVolumeMountFailed: " in front, once: a kubelet recognises
// a failed image volume by it.
absl::Status ImageVolumeError(const absl::Status& status);

// Holds every image that a mount names. kInvalidArgument for an empty or
// malformed reference, kNotFound for one that is not local; on an error nothing
// is held.
absl::StatusOr<VolumeHolds> HoldVolumeImages(
    image::ImageStore* images, const cri::ContainerConfig& config);
// For restart: holds what the record names, also if the image itself is gone.
absl::StatusOr<VolumeHolds> ReholdVolumeImages(
    image::ImageStore* images,
    const ::warren::record::v1::ContainerRecord& record);

// Borrowed from `holds`.
std::map<int, const image::Image*> ImagesOf(const VolumeHolds& holds);

// What ReholdVolumeImages needs, into the record.
void Put(const VolumeHolds& holds,
         ::warren::record::v1::ContainerRecord* record);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CONVERT_VOLUME_IMAGES_H_
