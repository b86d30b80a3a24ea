#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "agent/cri_convert_parts.h"
#include "agent/validate.h"
#include "runtime/base/status.h"

// What a container sees of the node's files.
namespace warren::agent {
namespace {

absl::StatusOr<runtime::MountPropagation> Propagation(
    absl::string_view field, cri::MountPropagation propagation) {
  switch (propagation) {
    case cri::PROPAGATION_PRIVATE:
      return runtime::MountPropagation::kPrivate;
    case cri::PROPAGATION_HOST_TO_CONTAINER:
      return runtime::MountPropagation::kHostToContainer;
    case cri::PROPAGATION_BIDIRECTIONAL:
      return runtime::MountPropagation::kBidirectional;
    default:
      return Invalid(field, "is unknown");
  }
}

absl::Status CheckMountIsBuilt(const std::string& field,
                               const cri::Mount& mount) {
  if (mount.has_image() || !mount.image_sub_path().empty()) {
    return NotBuilt(absl::StrCat(field, ".image"), "image volumes");
  }
  if (mount.uidmappings_size() + mount.gidmappings_size() != 0) {
    return NotBuilt(absl::StrCat(field, ".uidMappings"), "id-mapped mounts");
  }
  if (!mount.recursive_read_only()) return absl::OkStatus();
  const std::string recursive = absl::StrCat(field, ".recursive_read_only");
  if (!mount.readonly() || mount.propagation() != cri::PROPAGATION_PRIVATE) {
    return Invalid(recursive, "needs readonly and private propagation");
  }
  return absl::UnimplementedError(
      absl::StrCat("RROUnsupported: ", recursive,
                   ": recursively read-only mounts are not supported yet"));
}

// FS-6. A privileged container may have the node's /dev and /sys in place of
// its own; nobody may cover the root or procfs.
absl::Status CheckMountTarget(absl::string_view field,
                              const std::string& target, bool privileged) {
  if (target == "/" || target == "/proc" ||
      absl::StartsWith(target, "/proc/") ||
      (!privileged && (target == "/dev" || target == "/sys"))) {
    return Invalid(field,
                   absl::StrCat("nothing can be mounted over ", Shown(target)));
  }
  return absl::OkStatus();
}

absl::StatusOr<runtime::MountSpec> ConvertMount(const std::string& field,
                                                const cri::Mount& in,
                                                bool privileged) {
  runtime::MountSpec out;
  const std::string target_field = absl::StrCat(field, ".container_path");
  ASSIGN_OR_RETURN(out.container_path,
                   CheckAbsolutePath(target_field, in.container_path()));
  RETURN_IF_ERROR(
      CheckMountTarget(target_field, out.container_path, privileged));
  RETURN_IF_ERROR(CheckMountIsBuilt(field, in));
  ASSIGN_OR_RETURN(
      out.host_path,
      CheckAbsolutePath(absl::StrCat(field, ".host_path"), in.host_path()));
  out.readonly = in.readonly();
  ASSIGN_OR_RETURN(
      out.propagation,
      Propagation(absl::StrCat(field, ".propagation"), in.propagation()));
  return out;
}

}  // namespace

absl::Status ConvertMounts(const cri::ContainerConfig& config,
                           runtime::ContainerSpec* spec) {
  for (int i = 0; i < config.mounts_size(); ++i) {
    ASSIGN_OR_RETURN(runtime::MountSpec mount,
                     ConvertMount(absl::StrCat("config.mounts[", i, "]"),
                                  config.mounts(i), spec->privileged));
    spec->mounts.push_back(std::move(mount));
  }
  // Parents before what lies in them, else as asked.
  const auto depth = [](const runtime::MountSpec& mount) {
    return std::count(mount.container_path.begin(), mount.container_path.end(),
                      '/');
  };
  std::stable_sort(
      spec->mounts.begin(), spec->mounts.end(),
      [&](const auto& a, const auto& b) { return depth(a) < depth(b); });
  return absl::OkStatus();
}

}  // namespace warren::agent
