#include "runtime/mounts/requested.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/string_view.h>
#include <sys/mount.h>

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/base/path.h"
#include "runtime/base/proc_files.h"
#include "runtime/base/status.h"
#include "runtime/identity/id_map.h"
#include "runtime/mounts/label.h"

namespace warren::runtime {
namespace {

// An image volume is data: no writes, no set-id bits, no devices, no programs.
constexpr uint64_t kImageAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                      MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

absl::Status Reserved(absl::string_view what, absl::string_view target) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, " \"", target,
                   "\" is reserved for the container's own file systems"));
}

// The orchestrator may put the host's /dev or /sys in place of ours: it names
// a path of the host and knows what it gives away. Procfs stays ours: what is
// masked in it, and how a process is confined, hangs on it (FS-3, FS-4).
absl::Status CheckTarget(const PlannedMount& mount) {
  const auto reserved = [](absl::string_view path) {
    return path == "/" ||
           (base::IsAtOrBelow(path, "/proc") && !base::MayCoverProcFile(path));
  };
  const bool host_path = mount.source == MountSource::kHostPath;
  const bool in_proc = base::IsAtOrBelow(mount.place, "/proc") ||
                       base::IsAtOrBelow(mount.op.target(), "/proc");
  if (!reserved(mount.place) && !reserved(mount.op.target()) &&
      (host_path || !in_proc)) {
    return absl::OkStatus();
  }
  return Reserved("mounts: container_path", mount.op.target());
}

// An image may not do that: it has no say in the container's own file systems.
absl::Status CheckVolumeTarget(const PlannedMount& volume) {
  bool ours = volume.place == "/";
  for (const char* directory : {"/proc", "/dev", "/sys"}) {
    ours |= base::IsAtOrBelow(volume.place, directory) ||
            base::IsAtOrBelow(volume.op.target(), directory);
  }
  return ours ? Reserved("volume of the image", volume.op.target())
              : absl::OkStatus();
}

PlannedMount PlanImage(const ContainerSpec& spec, const MountSpec& mount) {
  PlannedMount m;
  m.source = MountSource::kImage;
  m.path = mount.image_sub_path;
  m.image_layers = mount.image_layers;
  m.attributes = kImageAttributes;
  const bool own = !mount.uid_mappings.empty();
  m.uid_mappings = own ? mount.uid_mappings : spec.sandbox.uid_mappings;
  m.gid_mappings = own ? mount.gid_mappings : spec.sandbox.gid_mappings;
  return m;
}

absl::StatusOr<PlannedMount> PlanHostPath(const ContainerSpec& spec,
                                          const MountSpec& mount,
                                          const MountHost& host,
                                          uint64_t guard) {
  RETURN_IF_ERROR_IN(base::CleanPath(mount.host_path).status(),
                     "mounts: host_path");
  PlannedMount m;
  m.source = MountSource::kHostPath;
  // Kept as given: "a/../b" may mean something else when "a" is a link.
  m.path = mount.host_path;
  m.attributes = (mount.readonly ? MOUNT_ATTR_RDONLY : 0) |
                 (mount.nodev ? MOUNT_ATTR_NODEV : 0) |
                 (mount.nosuid ? MOUNT_ATTR_NOSUID : 0) |
                 (mount.noexec ? MOUNT_ATTR_NOEXEC : 0) | guard;
  m.recursive = mount.recursive;
  m.make_missing = true;
  m.propagation = mount.propagation;
  m.uid_mappings = mount.uid_mappings;
  m.gid_mappings = mount.gid_mappings;
  m.mapped_by_default = mount.mapped_by_default;
  if (mount.selinux_relabel) m.label = FileLabel(spec.selinux_label);
  if (!mount.recursive_readonly) return m;
  if (!host.recursive_readonly) {
    return absl::FailedPreconditionError(absl::StrCat(
        "RROUnsupported: this kernel cannot make the mount at \"",
        mount.container_path, "\" recursively read-only; Linux 5.12 can"));
  }
  if (!mount.readonly || mount.propagation != MountPropagation::kPrivate) {
    return absl::InvalidArgumentError(
        "mounts: recursive_read_only needs readonly and private propagation");
  }
  m.recursive_attributes = true;
  return m;
}

absl::StatusOr<PlannedMount> PlanOne(const ContainerSpec& spec,
                                     const MountSpec& mount,
                                     const MountHost& host, uint64_t guard,
                                     const PlaceFinder& place) {
  ASSIGN_OR_RETURN_IN(const std::string target,
                      base::CleanPath(mount.container_path),
                      "mounts: container_path");
  RETURN_IF_ERROR(
      ValidateIdMappings(mount.uid_mappings, "mounts: uidMappings"));
  RETURN_IF_ERROR(
      ValidateIdMappings(mount.gid_mappings, "mounts: gidMappings"));
  if (mount.uid_mappings.empty() != mount.gid_mappings.empty()) {
    return absl::InvalidArgumentError(
        "mounts: uidMappings and gidMappings must be given together");
  }
  PlannedMount planned;
  if (mount.image_layers.empty()) {
    ASSIGN_OR_RETURN(planned, PlanHostPath(spec, mount, host, guard));
  } else {
    planned = PlanImage(spec, mount);
  }
  planned.op.set_kind(shim::v1::MountOp::ATTACH);
  planned.op.set_target(target);
  planned.place = place ? place(target) : target;
  // What is there is no directory, so that none is to be made for it.
  planned.plain_file =
      planned.source == MountSource::kHostPath &&
      (base::MayCoverProcFile(planned.place) || base::MayCoverProcFile(target));
  planned.make_missing &= !planned.plain_file;
  planned.op.set_may_cover_proc(planned.plain_file);
  RETURN_IF_ERROR(CheckTarget(planned));
  if (planned.source == MountSource::kHostPath) {
    planned.op.set_what(
        absl::StrCat(target, " (host_path ", mount.host_path, ")"));
  }
  return planned;
}

absl::StatusOr<PlannedMount> PlanVolume(const std::string& path, uint64_t guard,
                                        const PlaceFinder& place) {
  ASSIGN_OR_RETURN_IN(const std::string target, base::CleanPath(path),
                      "volume of the image");
  PlannedMount m;
  m.op.set_kind(shim::v1::MountOp::ATTACH);
  m.op.set_target(target);
  m.source = MountSource::kVolume;
  m.place = place ? place(target) : target;
  m.path = target;
  m.attributes = guard;
  RETURN_IF_ERROR(CheckVolumeTarget(m));
  return m;
}

void SortByDepth(std::vector<PlannedMount>* mounts) {
  const auto depth = [](const PlannedMount& m) {
    return std::count(m.place.begin(), m.place.end(), '/');
  };
  std::stable_sort(
      mounts->begin(), mounts->end(),
      [&](const auto& a, const auto& b) { return depth(a) < depth(b); });
}

}  // namespace

absl::StatusOr<RequestedMounts> PlanRequestedMounts(const ContainerSpec& spec,
                                                    const MountHost& host,
                                                    bool guard_devices,
                                                    const PlaceFinder& place) {
  const uint64_t guard = guard_devices ? MOUNT_ATTR_NODEV : 0;
  RequestedMounts planned;
  for (const MountSpec& mount : spec.mounts) {
    ASSIGN_OR_RETURN(PlannedMount m, PlanOne(spec, mount, host, guard, place));
    planned.mounts.push_back(std::move(m));
  }
  const size_t asked = planned.mounts.size();
  for (const std::string& path : spec.volumes) {
    ASSIGN_OR_RETURN(PlannedMount m, PlanVolume(path, guard, place));
    const auto end =
        planned.mounts.begin() + static_cast<std::ptrdiff_t>(asked);
    const bool below =
        std::any_of(planned.mounts.begin(), end, [&](const PlannedMount& r) {
          return base::IsAtOrBelow(m.place, r.place);
        });
    (below ? planned.mounts : planned.volumes).push_back(std::move(m));
  }
  SortByDepth(&planned.volumes);
  SortByDepth(&planned.mounts);
  return planned;
}

}  // namespace warren::runtime
