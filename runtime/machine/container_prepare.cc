#include "runtime/machine/container_prepare.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>

#include <functional>
#include <list>
#include <string>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/devices/devices.h"
#include "runtime/identity/id_map.h"
#include "runtime/launch/request.h"
#include "runtime/mounts/label.h"
#include "runtime/mounts/plan.h"
#include "runtime/mounts/target_place.h"
#include "runtime/namespaces/table.h"
#include "runtime/rootfs/rootfs.h"

namespace warren::runtime {
namespace {

// User namespaces that only lend their mappings to mounts; each of a
// container's is made once.
class MountUserNamespaces {
 public:
  using Make = std::function<absl::StatusOr<base::UniqueFd>(
      const std::vector<IdMapping>& uids, const std::vector<IdMapping>& gids)>;
  explicit MountUserNamespaces(Make make) : make_(std::move(make)) {}

  absl::StatusOr<int> Get(const std::vector<IdMapping>& uids,
                          const std::vector<IdMapping>& gids) {
    for (const Made& made : made_) {
      if (made.uids == uids && made.gids == gids) return made.fd.get();
    }
    ASSIGN_OR_RETURN(base::UniqueFd fd, make_(uids, gids));
    made_.push_back({uids, gids, std::move(fd)});
    return made_.back().fd.get();
  }

 private:
  struct Made {
    std::vector<IdMapping> uids;
    std::vector<IdMapping> gids;
    base::UniqueFd fd;
  };
  const Make make_;
  std::list<Made> made_;
};

absl::StatusOr<base::UniqueFd> OpenMountUserNamespace(
    Parts* parts, const ContainerSpec& spec, const std::vector<IdMapping>& uids,
    const std::vector<IdMapping>& gids) {
  const SandboxSpec& pod = spec.sandbox;
  if (uids == pod.uid_mappings && gids == pod.gid_mappings) {
    return parts->mount_namespaces->OpenPin(pod.id, NamespaceKind::kUser);
  }
  // Only a process can make one: the shim does, as for a pod that owns
  // nothing else, and pins it for as long as it takes to open it.
  SandboxSpec lender;
  lender.id = absl::StrCat("mappings-", spec.id);
  lender.network = lender.ipc = lender.pid = NamespaceMode::kHost;
  lender.uid_mappings = uids;
  lender.gid_mappings = gids;
  SandboxLaunchParts launch;
  launch.spec = &lender;
  launch.clone_flags = InfoOf(NamespaceKind::kUser).clone_flag;
  ASSIGN_OR_RETURN(const base::UniqueFd directory,
                   parts->mount_namespaces->AddPod(lender.id, -1));
  launch.pins_ns_fd = parts->mount_namespaces->pins();
  launch.pin_dir_fd = directory.get();
  const LaunchRequest request = BuildSandboxLaunch(std::move(launch));
  const auto launched =
      parts->launcher.LaunchSandbox(request.message, request.fds());
  absl::StatusOr<base::UniqueFd> result =
      launched.ok()
          ? parts->mount_namespaces->OpenPin(lender.id, NamespaceKind::kUser)
          : launched.status();
  RETURN_IF_ERROR(parts->mount_namespaces->RemovePod(lender.id));
  return result;
}

}  // namespace

absl::StatusOr<PreparedContainer> PrepareContainer(
    Parts* parts, const ContainerSpec& spec,
    const std::vector<DeviceNode>& devices, Preparation preparation) {
  std::vector<DeviceNode> nodes;
  if (spec.privileged) {
    ASSIGN_OR_RETURN(nodes, ListHostDevices());
  }
  PreparedContainer prepared;
  RootfsOptions options;
  options.layer_dirs = {parts->MountPointsDir()};
  options.layer_dirs.insert(options.layer_dirs.end(), spec.layer_dirs.begin(),
                            spec.layer_dirs.end());
  options.dir = parts->RootfsDir(spec.id);
  options.attributes = RootfsAttributes(spec, parts->mount_host);
  options.label = FileLabel(spec.selinux_label);
  base::UniqueFd user_ns;
  if (HasUserNamespace(spec.sandbox)) {
    ASSIGN_OR_RETURN(user_ns, parts->mount_namespaces->OpenPin(
                                  spec.sandbox.id, NamespaceKind::kUser));
    options.user_ns_fd = user_ns.get();
    options.root_uid = ToHostId(spec.sandbox.uid_mappings, 0).value_or(0);
    options.root_gid = ToHostId(spec.sandbox.gid_mappings, 0).value_or(0);
  }
  ASSIGN_OR_RETURN(Rootfs rootfs, MakeRootfs(options));
  prepared.rootfs = std::move(rootfs.mount);
  prepared.shift_owners = rootfs.shift_owners;
  ASSIGN_OR_RETURN(
      const MountPlan plan,
      PlanMounts(spec, parts->mount_host,
                 MergeDevices(std::move(nodes), devices),
                 [root = prepared.rootfs.get()](const std::string& target) {
                   return PlaceInRoot(root, target);
                 }));
  prepared.rootfs_propagation = plan.rootfs_propagation;
  MountUserNamespaces user_namespaces([&](const auto& uids, const auto& gids) {
    return OpenMountUserNamespace(parts, spec, uids, gids);
  });
  MountPlaces places;
  places.mount_namespaces = parts->mount_namespaces.get();
  places.sandbox_id = spec.sandbox.id;
  places.cgroups = &parts->mount_host.cgroups;
  places.user_namespace = [&](const auto& uids, const auto& gids) {
    return user_namespaces.Get(uids, gids);
  };
  places.root_uid = options.root_uid;
  places.root_gid = options.root_gid;
  places.rootfs_dir = options.dir;
  places.rootfs_fd = prepared.rootfs.get();
  places.shift_owners = prepared.shift_owners;
  places.layer_dirs = &spec.layer_dirs;
  places.sandbox = &spec.sandbox;
  places.creating = preparation == Preparation::kFirst;
  places.own_directories = {parts->options.state_dir, parts->options.run_dir};
  ASSIGN_OR_RETURN(prepared.mounts, OpenMountSources(plan.mounts, places));
  return prepared;
}

}  // namespace warren::runtime
