#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "agent/convert/parts.h"
#include "agent/convert/volume_images.h"
#include "agent/cri/validate.h"
#include "runtime/base/proc_files.h"
#include "runtime/base/status.h"

// What a container sees of the node's files.
namespace warren::agent {
namespace {

// Each is a descriptor or two of the 4096 that a shim takes.
constexpr int kMaxMounts = 1024;
constexpr size_t kMaxImageVolumes = 128;
// As many as a user namespace can have (user_namespaces(7)).
constexpr int kMaxMappings = 340;

absl::StatusOr<runtime::MountPropagation> Propagation(
    const std::string& field, cri::MountPropagation propagation,
    bool user_namespace) {
  switch (propagation) {
    case cri::PROPAGATION_PRIVATE:
      return runtime::MountPropagation::kPrivate;
    case cri::PROPAGATION_HOST_TO_CONTAINER:
      return runtime::MountPropagation::kHostToContainer;
    case cri::PROPAGATION_BIDIRECTIONAL:
      // Otherwise root inside could mount anything it likes on the node.
      if (user_namespace) {
        return Invalid(field,
                       "BIDIRECTIONAL would lead out of the pod's user "
                       "namespace");
      }
      return runtime::MountPropagation::kBidirectional;
    default:
      return Invalid(field, "is unknown");
  }
}

// FS-6: no mount may cover the root or procfs, but for some of its files.
absl::Status CheckMountTarget(absl::string_view field,
                              const std::string& target) {
  if (target == "/" || target == "/proc" ||
      (absl::StartsWith(target, "/proc/") && !base::MayCoverProcFile(target))) {
    return Invalid(field,
                   absl::StrCat("nothing can be mounted over ", Shown(target)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<runtime::IdMapping>> Mappings(
    const std::string& field,
    const google::protobuf::RepeatedPtrField<cri::IDMapping>& in) {
  if (in.size() > kMaxMappings) {
    return Invalid(field,
                   absl::StrCat("has more than ", kMaxMappings, " entries"));
  }
  std::vector<runtime::IdMapping> out;
  for (const cri::IDMapping& m : in) {
    out.push_back({m.container_id(), m.host_id(), m.length()});
  }
  RETURN_IF_ERROR(runtime::ValidateIdMappings(out, field));
  return out;
}

absl::Status ConvertOwners(const std::string& field, const cri::Mount& in,
                           runtime::MountSpec* out) {
  const std::string uids = absl::StrCat(field, ".uidMappings");
  const std::string gids = absl::StrCat(field, ".gidMappings");
  ASSIGN_OR_RETURN(out->uid_mappings, Mappings(uids, in.uidmappings()));
  ASSIGN_OR_RETURN(out->gid_mappings, Mappings(gids, in.gidmappings()));
  if (out->uid_mappings.empty() == out->gid_mappings.empty()) {
    return absl::OkStatus();
  }
  return Invalid(out->uid_mappings.empty() ? uids : gids,
                 "is missing: both or none must be given");
}

// A pod that asked for no user namespace and was granted one sees its volumes
// as it would without: by the pod's own mapping, where the request has none (a
// kubelet sends mappings for the mounts of pods that it gives a user namespace
// itself). Images as volumes are mapped so in any case.
void MapByDefault(const ContainerInputs& inputs, runtime::MountSpec* mount) {
  const bool asked = inputs.sandbox_config.linux()
                         .security_context()
                         .namespace_options()
                         .has_userns_options();
  if (asked || !mount->uid_mappings.empty() || !mount->image_layers.empty()) {
    return;
  }
  mount->uid_mappings = inputs.sandbox.uid_mappings;
  mount->gid_mappings = inputs.sandbox.gid_mappings;
  mount->mapped_by_default = !mount->uid_mappings.empty();
}

absl::Status ConvertReadonly(const std::string& field, const cri::Mount& in,
                             runtime::MountSpec* out) {
  out->readonly = in.readonly();
  out->recursive_readonly = in.recursive_read_only();
  if (!in.recursive_read_only()) return absl::OkStatus();
  if (in.readonly() && in.propagation() == cri::PROPAGATION_PRIVATE) {
    return absl::OkStatus();
  }
  return Invalid(absl::StrCat(field, ".recursive_read_only"),
                 "needs readonly and private propagation");
}

absl::Status ConvertImage(const std::string& field, const cri::Mount& in,
                          const image::Image* image, runtime::MountSpec* out) {
  if (!in.host_path().empty()) {
    return Invalid(absl::StrCat(field, ".host_path"),
                   "must be empty when an image is mounted");
  }
  RETURN_IF_ERROR(
      CheckRuntimeHandler(absl::StrCat(field, ".image.runtime_handler"),
                          in.image().runtime_handler()));
  if (image == nullptr) {
    return Invalid(absl::StrCat(field, ".image.image"), "is not known");
  }
  if (in.propagation() != cri::PROPAGATION_PRIVATE) {
    return Invalid(absl::StrCat(field, ".propagation"),
                   "must be private when an image is mounted");
  }
  if (!in.image_sub_path().empty()) {
    ASSIGN_OR_RETURN(out->image_sub_path,
                     CheckRelativePath(absl::StrCat(field, ".image_sub_path"),
                                       in.image_sub_path()));
  }
  out->image_layers = image->layer_dirs;
  out->readonly = true;  // by definition, whatever the request says
  return absl::OkStatus();
}

absl::Status ConvertHostPath(const std::string& field, const cri::Mount& in,
                             bool user_namespace, runtime::MountSpec* out) {
  if (!in.image_sub_path().empty()) {
    return Invalid(absl::StrCat(field, ".image_sub_path"),
                   "needs an image to be mounted");
  }
  ASSIGN_OR_RETURN(
      out->host_path,
      CheckAbsolutePath(absl::StrCat(field, ".host_path"), in.host_path()));
  ASSIGN_OR_RETURN(out->propagation,
                   Propagation(absl::StrCat(field, ".propagation"),
                               in.propagation(), user_namespace));
  out->selinux_relabel = in.selinux_relabel();
  return absl::OkStatus();
}

absl::StatusOr<runtime::MountSpec> ConvertMount(const std::string& field,
                                                const cri::Mount& in,
                                                const image::Image* image,
                                                bool user_namespace) {
  runtime::MountSpec out;
  const std::string target_field = absl::StrCat(field, ".container_path");
  ASSIGN_OR_RETURN(out.container_path,
                   CheckAbsolutePath(target_field, in.container_path()));
  RETURN_IF_ERROR(CheckMountTarget(target_field, out.container_path));
  RETURN_IF_ERROR(ConvertReadonly(field, in, &out));
  RETURN_IF_ERROR(ConvertOwners(field, in, &out));
  RETURN_IF_ERROR(in.has_image()
                      ? ConvertImage(field, in, image, &out)
                      : ConvertHostPath(field, in, user_namespace, &out));
  return out;
}

bool IsOurs(absl::string_view path) {
  for (const absl::string_view directory : {"/proc", "/dev", "/sys"}) {
    if (path == directory ||
        absl::StartsWith(path, absl::StrCat(directory, "/"))) {
      return true;
    }
  }
  return false;
}

// What the image declares and the request does not replace. At and below
// /proc, /dev and /sys our own file systems stay: images for init systems
// declare /sys/fs/cgroup, for which an empty directory would be no good.
absl::Status ConvertVolumes(const image::Image& image,
                            runtime::ContainerSpec* spec) {
  constexpr char kField[] = "volume of the image";
  if (image.config.volumes.size() > kMaxImageVolumes) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the image declares more than ", kMaxImageVolumes, " volumes"));
  }
  for (const std::string& declared : image.config.volumes) {
    // Images may leave out the first slash.
    ASSIGN_OR_RETURN(std::string path,
                     CheckAbsolutePath(kField, "/" + declared));
    if (path == "/") return Invalid(kField, "is the root");
    const bool mounted = std::any_of(
        spec->mounts.begin(), spec->mounts.end(),
        [&](const auto& mount) { return mount.container_path == path; });
    const bool twice = std::find(spec->volumes.begin(), spec->volumes.end(),
                                 path) != spec->volumes.end();
    if (mounted || twice || IsOurs(path)) continue;
    spec->volumes.push_back(std::move(path));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ConvertMounts(const ContainerInputs& inputs,
                           runtime::ContainerSpec* spec) {
  const cri::ContainerConfig& config = inputs.config;
  const bool user_namespace = !inputs.sandbox.uid_mappings.empty();
  if (config.mounts_size() > kMaxMounts) {
    return Invalid("config.mounts",
                   absl::StrCat("has more than ", kMaxMounts, " entries"));
  }
  for (int i = 0; i < config.mounts_size(); ++i) {
    const auto image = inputs.volume_images.find(i);
    auto mount = ConvertMount(
        absl::StrCat("config.mounts[", i, "]"), config.mounts(i),
        image == inputs.volume_images.end() ? nullptr : image->second,
        user_namespace);
    if (!mount.ok()) {
      return config.mounts(i).has_image() ? ImageVolumeError(mount.status())
                                          : mount.status();
    }
    MapByDefault(inputs, &*mount);
    spec->mounts.push_back(*std::move(mount));
  }
  // Parents come before what lies in them; else the request's order stays.
  const auto depth = [](const runtime::MountSpec& mount) {
    return std::count(mount.container_path.begin(), mount.container_path.end(),
                      '/');
  };
  std::stable_sort(
      spec->mounts.begin(), spec->mounts.end(),
      [&](const auto& a, const auto& b) { return depth(a) < depth(b); });
  return ConvertVolumes(inputs.image, spec);
}

}  // namespace warren::agent
