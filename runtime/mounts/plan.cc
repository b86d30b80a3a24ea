#include "runtime/mounts/plan.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <limits.h>
#include <sys/mount.h>

#include <algorithm>
#include <utility>

#include "runtime/base/path.h"
#include "runtime/base/status.h"
#include "runtime/devices/devices.h"
#include "runtime/identity/id_map.h"
#include "runtime/mounts/label.h"
#include "runtime/mounts/requested.h"
#include "runtime/namespaces/table.h"

namespace warren::runtime {
namespace {

using shim::v1::MountOp;

constexpr uint64_t kNoSuidDevExec =
    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
constexpr char kCgroupRoot[] = "/sys/fs/cgroup";

struct Link {
  const char* name;
  const char* target;
};
constexpr Link kLinks[] = {{"fd", "/proc/self/fd"},
                           {"stdin", "/proc/self/fd/0"},
                           {"stdout", "/proc/self/fd/1"},
                           {"stderr", "/proc/self/fd/2"},
                           {"ptmx", "pts/ptmx"}};

PlannedMount NewFs(const std::string& target, const char* type,
                   const std::vector<std::string>& options,
                   uint64_t attributes) {
  PlannedMount m;
  m.op.set_kind(MountOp::NEW_FS);
  m.op.set_target(target);
  m.op.set_fs_type(type);
  for (const std::string& option : options) m.op.add_fs_options(option);
  m.op.set_attributes(attributes);
  return m;
}

PlannedMount Attach(const std::string& target, MountSource source,
                    const std::string& path) {
  PlannedMount m;
  m.op.set_kind(MountOp::ATTACH);
  m.op.set_target(target);
  m.source = source;
  m.path = path;
  return m;
}

// No cgroup keeps the container from devices: nodev mounts have to.
bool GuardsDevices(const ContainerSpec& spec, const MountHost& host) {
  return !spec.privileged && !host.controls_devices;
}

// Builds the base mounts, /proc to /etc.
class BasePlanner {
 public:
  BasePlanner(const ContainerSpec& spec, const MountHost& host,
              std::vector<DeviceNode> devices)
      : spec_(spec),
        host_(host),
        devices_(std::move(devices)),
        user_namespace_(HasUserNamespace(spec.sandbox)),
        guard_devices_(GuardsDevices(spec, host)) {}

  std::vector<PlannedMount> Plan() {
    AddProc();
    AddDev();
    AddSys();
    AddCgroups();
    AddPodFiles();
    return std::move(mounts_);
  }

 private:
  void AddProc() {
    if (user_namespace_ && spec_.pid == NamespaceMode::kHost) {
      // A user namespace cannot mount a procfs of the host's pid namespace.
      mounts_.push_back(Attach("/proc", MountSource::kHostPath, "/proc"));
      return;
    }
    mounts_.push_back(NewFs("/proc", "proc", {}, kNoSuidDevExec));
    // Mounted by somebody inside it would be seen by those who are there.
    if (spec_.pid == NamespaceMode::kPod) {
      mounts_.back().source = MountSource::kProcfs;
    }
  }

  void AddDev() {
    AddDevices();
    for (const Link& link : kLinks) {
      PlannedMount m;
      m.op.set_kind(MountOp::SYMLINK);
      m.op.set_target(absl::StrCat("/dev/", link.name));
      m.op.set_source(link.target);
      mounts_.push_back(std::move(m));
    }
    std::vector<std::string> pts = {"ptmxmode=0666", "mode=0620"};
    // Group tty, where the user namespace knows it.
    if (ToHostId(spec_.sandbox.gid_mappings, 5).has_value()) {
      pts.push_back("gid=5");
    }
    mounts_.push_back(NewFs("/dev/pts", "devpts", pts,
                            MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
    AddIpc();
  }

  void AddDevices() {
    PlannedMount dev = NewFs("/dev", "tmpfs", {}, MOUNT_ATTR_NOSUID);
    dev.source = MountSource::kDeviceDirectory;
    dev.attributes = MOUNT_ATTR_NOSUID;
    std::vector<PlannedMount> binds;
    if (guard_devices_) {
      // On a nodev tmpfs no node can be opened, so that the container cannot
      // make one for itself. Each node is bound over a file there.
      dev.op.set_attributes(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
      dev.attributes = dev.op.attributes();
    }
    for (const DeviceNode& node : devices_) {
      if (!guard_devices_ && absl::StartsWith(node.container_path, "/dev/")) {
        dev.devices.push_back(node);
        continue;
      }
      PlannedMount m;
      m.op.set_kind(MountOp::DEVICE);
      m.op.set_target(node.container_path);
      m.op.set_target_is_file(true);
      m.source = MountSource::kDevice;
      m.devices = {node};
      binds.push_back(std::move(m));
    }
    mounts_.push_back(std::move(dev));
    for (PlannedMount& bind : binds) mounts_.push_back(std::move(bind));
  }

  void AddIpc() {
    const bool host_ipc = spec_.sandbox.ipc == NamespaceMode::kHost;
    mounts_.push_back(Attach(
        "/dev/shm", host_ipc ? MountSource::kHostPath : MountSource::kShm,
        host_ipc ? "/dev/shm" : ""));
    // The queues of an IPC namespace can be mounted by its owner only.
    if (!host_ipc || !user_namespace_) {
      mounts_.push_back(NewFs("/dev/mqueue", "mqueue", {}, kNoSuidDevExec));
    }
  }

  void AddSys() {
    const uint64_t readonly = spec_.privileged ? 0 : MOUNT_ATTR_RDONLY;
    if (user_namespace_ && spec_.sandbox.network == NamespaceMode::kHost) {
      // sysfs shows a network namespace; only its owner can mount it.
      PlannedMount m = Attach("/sys", MountSource::kHostPath, "/sys");
      m.attributes = MOUNT_ATTR_RDONLY;
      m.recursive_attributes = true;
      mounts_.push_back(std::move(m));
      return;
    }
    mounts_.push_back(NewFs("/sys", "sysfs", {}, kNoSuidDevExec | readonly));
  }

  void AddCgroups() {
    const uint64_t attributes =
        kNoSuidDevExec | (spec_.privileged ? 0 : MOUNT_ATTR_RDONLY);
    for (const CgroupMount& c : host_.cgroups) {
      if (!c.name.empty()) {
        mounts_.push_back(
            Attach(kCgroupRoot, MountSource::kCgroupDirectory, ""));
        break;
      }
    }
    for (const CgroupMount& c : host_.cgroups) {
      const std::string target =
          c.name.empty() ? kCgroupRoot : absl::StrCat(kCgroupRoot, "/", c.name);
      mounts_.push_back(
          NewFs(target, c.fs_type.c_str(), c.options, attributes));
    }
  }

  void AddPodFiles() {
    for (const char* name : kPodFiles) {
      PlannedMount m =
          Attach(absl::StrCat("/etc/", name), MountSource::kPodFile, name);
      m.op.set_target_is_file(true);
      m.attributes = spec_.readonly_rootfs ? MOUNT_ATTR_RDONLY : 0;
      mounts_.push_back(std::move(m));
    }
  }

  const ContainerSpec& spec_;
  const MountHost& host_;
  const std::vector<DeviceNode> devices_;
  const bool user_namespace_;
  const bool guard_devices_;
  std::vector<PlannedMount> mounts_;
};

// The devices that no mount of the request hides. `guard_devices`: nothing
// keeps a container from using a node that is there to read and to write.
absl::StatusOr<std::vector<DeviceNode>> NotCovered(
    const ContainerSpec& spec, const std::vector<PlannedMount>& requested,
    const std::vector<DeviceNode>& devices, bool guard_devices) {
  constexpr uint8_t kReadWrite = kDeviceRead | kDeviceWrite;
  std::vector<DeviceNode> free_devices;
  for (const DeviceNode& node : devices) {
    if (guard_devices && (node.access & kReadWrite) != kReadWrite) {
      return absl::FailedPreconditionError(absl::StrCat(
          "devices: permissions of \"", node.container_path,
          "\": this host has neither cgroup v1 devices nor bpf(2), which could "
          "keep it from reading or writing"));
    }
    const auto cover = std::find_if(
        requested.begin(), requested.end(), [&](const PlannedMount& r) {
          return base::IsAtOrBelow(node.container_path, r.place);
        });
    if (cover == requested.end()) {
      free_devices.push_back(node);
    } else if (!spec.privileged) {
      return absl::InvalidArgumentError(absl::StrCat(
          "devices: container_path \"", node.container_path,
          "\" is in what is mounted at \"", cover->op.target(), "\""));
    }
  }
  return free_devices;
}

// What a confined process needs to use its own file systems. The kernel gives
// procfs, sysfs and cgroups labels by policy, and what is the host's keeps its
// own. A queue of an IPC namespace takes no label when it is mounted, as it
// has been there from the start.
void AddLabels(const ContainerSpec& spec, std::vector<PlannedMount>* mounts) {
  if (spec.selinux_label.empty()) return;
  const std::string own = FileLabel(spec.selinux_label);
  const std::string& level = spec.selinux_pod_level;
  const std::string shared =
      FileLabelAt(spec.selinux_label, level.empty() ? "s0" : level);
  for (PlannedMount& m : *mounts) {
    const std::string& type = m.op.fs_type();
    switch (m.source) {
      case MountSource::kHostPath:
      case MountSource::kProcfs:
        break;
      case MountSource::kPodFile:
      case MountSource::kShm:
        m.label = shared;
        break;
      case MountSource::kNone:
        if (m.op.kind() == MountOp::MASK || type == "devpts") {
          m.op.add_fs_options(absl::StrCat("context=", own));
        } else if (type == "mqueue" &&
                   spec.sandbox.ipc != NamespaceMode::kHost) {
          m.op.set_root_label(shared);
        }
        break;
      default:
        m.label = own;
    }
  }
}

absl::Status AddCovers(const std::vector<std::string>& paths,
                       MountOp::Kind kind, const char* field,
                       std::vector<PlannedMount>* mounts) {
  for (const std::string& path : paths) {
    PlannedMount m;
    m.op.set_kind(kind);
    ASSIGN_OR_RETURN_IN(const std::string target, base::CleanPath(path), field);
    m.op.set_target(target);
    mounts->push_back(std::move(m));
  }
  return absl::OkStatus();
}

}  // namespace

uint64_t RootfsAttributes(const ContainerSpec& spec, const MountHost& host) {
  return GuardsDevices(spec, host) ? MOUNT_ATTR_NODEV : 0;
}

absl::StatusOr<MountPlan> PlanMounts(const ContainerSpec& spec,
                                     const MountHost& host,
                                     const std::vector<DeviceNode>& devices,
                                     const PlaceFinder& place) {
  const bool guard_devices = GuardsDevices(spec, host);
  ASSIGN_OR_RETURN(RequestedMounts requested,
                   PlanRequestedMounts(spec, host, guard_devices, place));
  MountPlan plan;
  plan.rootfs_propagation = MS_PRIVATE;
  plan.rootfs_attributes = RootfsAttributes(spec, host);
  ASSIGN_OR_RETURN(std::vector<DeviceNode> free_devices,
                   NotCovered(spec, requested.mounts, devices, guard_devices));
  plan.mounts = std::move(requested.volumes);
  for (PlannedMount& base :
       BasePlanner(spec, host,
                   MergeDevices(StandardDevices(spec.sandbox), free_devices))
           .Plan()) {
    const bool covered =
        std::any_of(requested.mounts.begin(), requested.mounts.end(),
                    [&](const PlannedMount& r) {
                      return r.source != MountSource::kVolume &&
                             base::IsAtOrBelow(base.op.target(), r.place);
                    });
    if (!covered) plan.mounts.push_back(std::move(base));
  }
  for (PlannedMount& m : requested.mounts) {
    if (m.propagation == MountPropagation::kBidirectional) {
      plan.rootfs_propagation = MS_SHARED;
    } else if (m.propagation == MountPropagation::kHostToContainer &&
               plan.rootfs_propagation == MS_PRIVATE) {
      plan.rootfs_propagation = MS_SLAVE;
    }
    plan.mounts.push_back(std::move(m));
  }
  RETURN_IF_ERROR(AddCovers(spec.masked_paths, MountOp::MASK, "masked_paths",
                            &plan.mounts));
  RETURN_IF_ERROR(AddCovers(spec.readonly_paths, MountOp::READONLY,
                            "readonly_paths", &plan.mounts));
  AddLabels(spec, &plan.mounts);
  return plan;
}

}  // namespace warren::runtime
