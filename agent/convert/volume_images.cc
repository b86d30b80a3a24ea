#include "agent/convert/volume_images.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <utility>

#include "agent/cri/validate.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

constexpr char kPrefix[] = "ImageVolumeMountFailed";

absl::StatusOr<std::shared_ptr<image::ImageHold>> HoldOne(
    image::ImageStore* images, const std::string& field,
    const std::string& reference) {
  RETURN_IF_ERROR(CheckName(field, reference));
  auto hold = images->Hold(reference);
  if (absl::IsNotFound(hold.status())) {
    return absl::NotFoundError(absl::StrCat(field, ": ", Shown(reference),
                                            " is not present on this node"));
  }
  if (!hold.ok()) return base::Annotate(hold.status(), field);
  return hold;
}

}  // namespace

absl::Status ImageVolumeError(const absl::Status& status) {
  if (absl::StartsWith(status.message(), kPrefix)) return status;
  return base::Annotate(status, kPrefix);
}

absl::StatusOr<VolumeHolds> HoldVolumeImages(
    image::ImageStore* images, const cri::ContainerConfig& config) {
  VolumeHolds holds;
  for (int i = 0; i < config.mounts_size(); ++i) {
    const cri::Mount& mount = config.mounts(i);
    if (!mount.has_image()) continue;
    auto hold =
        HoldOne(images, absl::StrCat("config.mounts[", i, "].image.image"),
                mount.image().image());
    if (!hold.ok()) return ImageVolumeError(hold.status());
    holds[i] = *std::move(hold);
  }
  return holds;
}

absl::StatusOr<VolumeHolds> ReholdVolumeImages(
    image::ImageStore* images,
    const ::warren::record::v1::ContainerRecord& record) {
  VolumeHolds holds;
  for (const auto& volume : record.volume_images()) {
    ASSIGN_OR_RETURN(
        holds[volume.mount()],
        images->Rehold(volume.image_id(), {volume.layer_dirs().begin(),
                                           volume.layer_dirs().end()}));
  }
  return holds;
}

std::map<int, const image::Image*> ImagesOf(const VolumeHolds& holds) {
  std::map<int, const image::Image*> images;
  for (const auto& [mount, hold] : holds) images[mount] = &hold->image();
  return images;
}

void Put(const VolumeHolds& holds,
         ::warren::record::v1::ContainerRecord* record) {
  for (const auto& [mount, hold] : holds) {
    auto* out = record->add_volume_images();
    out->set_mount(mount);
    out->set_image_id(hold->image().id);
    out->mutable_layer_dirs()->Assign(hold->image().layer_dirs.begin(),
                                      hold->image().layer_dirs.end());
  }
}

}  // namespace warren::agent
