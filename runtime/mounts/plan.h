#ifndef WARREN_RUNTIME_MOUNTS_PLAN_H_
#define WARREN_RUNTIME_MOUNTS_PLAN_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/cgroup/driver.h"
#include "runtime/runtime.h"
#include "warren/shim/v1/shim.pb.h"

// What a container's file system tree is made of: ContainerSpec -> list of
// steps, in the order in which the init performs them. Pure; sources.h
// opens what the steps name, the init attaches it.
//
//   volumes of the image
//   /proc  /dev (tmpfs, devices, links)  /dev/pts  /dev/shm  /dev/mqueue
//   /sys   /sys/fs/cgroup  /etc/{hostname,hosts,resolv.conf}
//   then the request's mounts, parents first, among them volumes of the image
//   that lie below one, then masked and read-only paths
//
// A mount of the request drops every base mount at or below its path.
namespace warren::runtime {

// Where the thing to attach comes from.
enum class MountSource : uint8_t {
  kNone,      // nothing to open: the init makes it
  kHostPath,  // a path of the host
  kImage,     // the layers of an image, read-only
  kVolume,    // a directory of the container's own, filled from its rootfs
  kDeviceDirectory,  // a tmpfs with `devices` in it, made by the agent
  kDevice,           // a node of the container's own that is `devices[0]`
  kPodFile,          // hostname, hosts or resolv.conf of the pod
  kShm,              // the pod's /dev/shm
  kProcfs,           // of the pod's pid namespace, if it was kept
  kCgroupDirectory   // read-only tmpfs with a directory for each cgroup
                     // hierarchy
};

struct PlannedMount {
  // Complete but for `fd` and, with kHostPath, `target_is_file`.
  shim::v1::MountOp op;
  // What the request and the image ask for: where the target leads, see
  // PlaceFinder. Order and cover go by it.
  std::string place;
  MountSource source = MountSource::kNone;
  // kHostPath; kPodFile: its name; kImage: what of the image;
  // kVolume: what of the rootfs.
  std::string path;
  std::vector<DeviceNode> devices;
  uint64_t attributes = 0;  // MOUNT_ATTR_* of the top mount of the source
  bool recursive_attributes = false;  // … and of all mounts below it
  bool make_missing = false;          // kHostPath: mkdir 0755
  bool plain_file = false;            // kHostPath: nothing else will do
  bool recursive = true;              // kHostPath: with all mounts below
  MountPropagation propagation = MountPropagation::kPrivate;
  // kHostPath: none = not idmapped. kImage: the pod's unless asked otherwise.
  std::vector<IdMapping> uid_mappings;
  std::vector<IdMapping> gid_mappings;
  bool mapped_by_default = false;         // kHostPath: as in MountSpec
  std::vector<std::string> image_layers;  // kImage, lowest first
  // SELinux label of its files, "" = as they are. kHostPath: it is given to
  // what is there (CRI's selinux_relabel) when the container is created;
  // kPodFile, kShm: to the file or root itself; the others are made with it.
  std::string label;
};

struct MountPlan {
  std::vector<PlannedMount> mounts;
  uint64_t rootfs_attributes = 0;   // MOUNT_ATTR_*
  uint64_t rootfs_propagation = 0;  // MS_*
};

// What the host offers.
struct MountHost {
  std::vector<CgroupMount> cgroups;
  // False: no cgroup keeps a container from devices, nodev mounts have to.
  bool controls_devices = true;
  // mount_setattr(2) with AT_RECURSIVE.
  bool recursive_readonly = true;
};

// MOUNT_ATTR_* of the root file system, the same as in the plan.
uint64_t RootfsAttributes(const ContainerSpec& spec, const MountHost& host);

// Where the target of a mount leads in the container's root (target_place.h).
using PlaceFinder = std::function<std::string(const std::string& target)>;

// `devices`: what the container has beside the standard ones, resolved
// (devices.h). They are nodes in the tmpfs of /dev; elsewhere, and where /dev
// is nodev, each is bound from a tmpfs of its own. None is the host's (FS-11).
// `place`: none = every target is where it says.
//
// kInvalidArgument names the mount at fault: a container_path that is not
// absolute, or leads to "/", /proc or below it (FS-6; proc_files.h has what may
// be covered there); a volume of the image there or at or below /dev or /sys;
// or a device in a mount of the request, which would be made in a directory of
// the host. In a privileged container such a device is left out: with the
// host's /dev mounted it is there already. kFailedPrecondition:
// "RROUnsupported: …" when the host cannot make mounts recursively read-only; a
// device to read or to write only that nothing on this host can hold to that.
absl::StatusOr<MountPlan> PlanMounts(
    const ContainerSpec& spec, const MountHost& host,
    const std::vector<DeviceNode>& devices = {}, const PlaceFinder& place = {});

// The pod's files, in the order in which they are bound into containers.
inline constexpr const char* kPodFiles[] = {"hostname", "hosts", "resolv.conf"};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MOUNTS_PLAN_H_
