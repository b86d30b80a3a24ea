#include "runtime/machine/parts.h"

#include <absl/strings/str_cat.h>
#include <absl/time/time.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/mount_calls.h"
#include "runtime/base/status.h"
#include "runtime/identity/id_map.h"
#include "runtime/mounts/mount_points.h"
#include "runtime/namespaces/table.h"

namespace warren::runtime {
namespace {

constexpr size_t kMountInfoLimit = 64 << 20;
// How long the cgroup driver waits before the deadline is looked at again.
constexpr absl::Duration kKillSlice = absl::Milliseconds(200);

absl::Status MakeOwnDirs(const LinuxRuntimeOptions& options) {
  for (const std::string& dir :
       {options.run_dir + "/sandboxes", options.run_dir + "/containers",
        options.state_dir + "/containers"}) {
    RETURN_IF_ERROR(base::MakeDirs(AT_FDCWD, dir, 0700).status());
  }
  return absl::OkStatus();
}

// A kernel without that kind has no such file; the inode stays 0.
std::array<uint64_t, kNamespaceKinds> ReadOwnNamespaces() {
  std::array<uint64_t, kNamespaceKinds> inodes = {};
  for (const NamespaceInfo& info : NamespaceTable()) {
    struct stat st;
    if (stat(absl::StrCat("/proc/self/ns/", info.name).c_str(), &st) == 0) {
      inodes[static_cast<size_t>(info.kind)] = st.st_ino;
    }
  }
  return inodes;
}

// Linux 5.12; tried, since a filter around the daemon may refuse it too. An
// error when nobody can tell.
absl::StatusOr<bool> CanChangeMountsRecursively() {
  ASSIGN_OR_RETURN(const base::UniqueFd tree,
                   base::NewFileSystem("tmpfs", {}, MOUNT_ATTR_NODEV));
  const absl::Status changed = base::ChangeMount(
      tree.get(), {.set = MOUNT_ATTR_RDONLY, .recursive = true});
  switch (base::GetErrno(changed)) {
    case ENOSYS:
    case EPERM:
    case EINVAL:
      return false;
    default:
      RETURN_IF_ERROR_IN(changed, "try a recursive change of mounts");
      return true;
  }
}

absl::Status FindCgroups(Parts* parts) {
  const LinuxRuntimeOptions& options = parts->options;
  ASSIGN_OR_RETURN(
      const std::string mountinfo,
      base::ReadFileAt(AT_FDCWD, "/proc/self/mountinfo", kMountInfoLimit));
  ASSIGN_OR_RETURN(const std::string own_parent,
                   CgroupParentPath("", options.default_cgroup_parent));
  ASSIGN_OR_RETURN(parts->cgroups, MakeCgroupDriver(options.cgroup_root,
                                                    mountinfo, own_parent));
  ASSIGN_OR_RETURN(ShimPlace place,
                   ShimPlace::Below(own_parent, parts->cgroups.get()));
  parts->shim_place = std::make_unique<ShimPlace>(std::move(place));
  parts->launcher.SetSpawn(
      [place = parts->shim_place.get()](const base::SpawnOptions& options) {
        return place->Spawn(options);
      });
  ASSIGN_OR_RETURN(const bool recursively, CanChangeMountsRecursively());
  parts->mount_host = {parts->cgroups->Mounts(),
                       parts->cgroups->ControlsDevices(), recursively};
  return absl::OkStatus();
}

}  // namespace

Parts::Parts(LinuxRuntimeOptions o, ShimLauncher l, const Privileges& p,
             const seccomp::Host& host)
    : options(std::move(o)),
      launcher(std::move(l)),
      privileges(p),
      filters(host) {}

absl::StatusOr<std::unique_ptr<Parts>> Parts::Make(
    const LinuxRuntimeOptions& options) {
  RETURN_IF_ERROR(MakeOwnDirs(options));
  ASSIGN_OR_RETURN(ShimLauncher launcher,
                   ShimLauncher::Open(options.shim_path));
  ASSIGN_OR_RETURN(const Privileges privileges, Privileges::Read());
  ASSIGN_OR_RETURN(const seccomp::Host host, seccomp::ThisHost());
  auto parts =
      std::make_unique<Parts>(options, std::move(launcher), privileges, host);
  RETURN_IF_ERROR_IN(MakeMountPoints(parts->MountPointsDir()), "mount points");
  parts->host_inodes = ReadOwnNamespaces();
  parts->time_namespaces =
      parts->host_inodes[static_cast<size_t>(NamespaceKind::kTime)] != 0;
  RETURN_IF_ERROR(FindCgroups(parts.get()));
  ASSIGN_OR_RETURN(parts->mount_namespaces,
                   MountNamespaces::Open(options.run_dir));
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
    return base::ErrnoError(errno, "become a subreaper");
  }
  return parts;
}

std::string Parts::SandboxDir(const std::string& id) const {
  return absl::StrCat(options.run_dir, "/sandboxes/", id);
}

std::string Parts::ContainerDir(const std::string& id) const {
  return absl::StrCat(options.run_dir, "/containers/", id);
}

std::string Parts::StateDir(const std::string& id) const {
  return absl::StrCat(options.state_dir, "/containers/", id);
}

std::string Parts::RootfsDir(const std::string& id) const {
  return absl::StrCat(StateDir(id), "/rootfs");
}

std::string Parts::MountPointsDir() const {
  return absl::StrCat(options.state_dir, "/mount_points");
}

Resources Parts::WithDefaults(const Resources& resources) const {
  Resources result = resources;
  if (result.pids_limit == 0) result.pids_limit = options.default_pids_limit;
  return result;
}

uint64_t Parts::CapabilitiesOf(const ContainerSpec& spec) const {
  return privileges.ClampCapabilities(spec.capabilities,
                                      HasUserNamespace(spec.sandbox));
}

absl::Status Parts::KillLeaf(const CgroupLeaf& leaf,
                             const base::Deadline& deadline) const {
  for (;;) {
    const absl::Status killed =
        cgroups->KillAll(leaf, std::min(deadline.Remaining(), kKillSlice));
    if (!absl::IsDeadlineExceeded(killed)) return killed;
    if (deadline.cancelled()) return deadline.Check();
    if (deadline.Remaining() == absl::ZeroDuration()) return killed;
  }
}

}  // namespace warren::runtime
