#include "runtime/machine/linux_runtime.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/base/file.h"
#include "runtime/base/mount_calls.h"
#include "runtime/base/status.h"
#include "runtime/machine/linux_runtime_impl.h"
#include "runtime/mounts/mount_points.h"
#include "runtime/namespaces/table.h"

namespace warren::runtime {
namespace {

constexpr size_t kMountInfoLimit = 64 << 20;

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

// Linux 5.12; tried, since a filter around the daemon may refuse it too.
bool CanChangeMountsRecursively() {
  const auto tree = base::NewFileSystem("tmpfs", {}, MOUNT_ATTR_NODEV);
  return tree.ok() && base::ChangeMount(tree->get(), {.set = MOUNT_ATTR_RDONLY,
                                                      .recursive = true})
                          .ok();
}

bool HasDigits(absl::string_view text) {
  return !text.empty() && text != "0\n" && text[0] >= '0' && text[0] <= '9';
}

}  // namespace

absl::StatusOr<std::unique_ptr<Runtime>> MakeLinuxRuntime(
    const LinuxRuntimeOptions& options) {
  auto runtime = LinuxRuntime::Make(options);
  if (!runtime.ok()) return base::Annotate(runtime.status(), "runtime");
  return std::unique_ptr<Runtime>(*std::move(runtime));
}

absl::StatusOr<std::unique_ptr<LinuxRuntime>> LinuxRuntime::Make(
    const LinuxRuntimeOptions& options) {
  RETURN_IF_ERROR(MakeOwnDirs(options));
  ASSIGN_OR_RETURN(ShimLauncher launcher,
                   ShimLauncher::Open(options.shim_path));
  ASSIGN_OR_RETURN(const Privileges privileges, Privileges::Read());
  ASSIGN_OR_RETURN(const seccomp::Host host, seccomp::ThisHost());
  std::unique_ptr<LinuxRuntime> runtime(
      new LinuxRuntime(options, std::move(launcher), privileges, host));
  LinuxRuntime& r = *runtime;
  RETURN_IF_ERROR_IN(MakeMountPoints(r.MountPointsDir()), "mount points");
  r.host_inodes_ = ReadOwnNamespaces();
  r.time_namespaces_ =
      r.host_inodes_[static_cast<size_t>(NamespaceKind::kTime)] != 0;
  ASSIGN_OR_RETURN(r.null_, base::OpenAt(AT_FDCWD, "/dev/null",
                                         O_RDWR | O_NOFOLLOW | O_NOCTTY));
  ASSIGN_OR_RETURN(
      const std::string mountinfo,
      base::ReadFileAt(AT_FDCWD, "/proc/self/mountinfo", kMountInfoLimit));
  ASSIGN_OR_RETURN(const std::string own_parent,
                   CgroupParentPath("", options.default_cgroup_parent));
  ASSIGN_OR_RETURN(
      r.cgroups_, MakeCgroupDriver(options.cgroup_root, mountinfo, own_parent));
  r.mount_host_ = {r.cgroups_->Mounts(), r.cgroups_->ControlsDevices(),
                   CanChangeMountsRecursively()};
  ASSIGN_OR_RETURN(r.mount_namespaces_, MountNamespaces::Open(options.run_dir));
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
    return base::ErrnoError(errno, "become a subreaper");
  }
  ASSIGN_OR_RETURN(r.watcher_, ExitWatcher::Start());
  return runtime;
}

Features LinuxRuntime::GetFeatures() const {
  Features features;
  // Where the kernel cannot idmap a rootfs its files get new owners instead.
  const auto limit =
      base::ReadFileAt(AT_FDCWD, "/proc/sys/user/max_user_namespaces");
  features.user_namespaces =
      host_inodes_[static_cast<size_t>(NamespaceKind::kUser)] != 0 &&
      limit.ok() && HasDigits(*limit);
  features.recursive_read_only = mount_host_.recursive_readonly;
  features.time_namespaces = time_namespaces_;
  features.cgroup_v2 = cgroups_->IsV2();
  features.degraded = privileges_.Missing();
  return features;
}

void LinuxRuntime::SetExitCallback(ExitCallback callback) {
  absl::MutexLock lock(&mutex_);
  exit_callback_ = std::move(callback);
}

absl::StatusOr<ContainerPtr> LinuxRuntime::Find(
    const std::string& container_id) {
  absl::MutexLock lock(&mutex_);
  const auto it = containers_.find(container_id);
  if (it == containers_.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat("container \"", container_id, "\" is not prepared"));
  }
  return it->second;
}

Resources LinuxRuntime::WithDefaults(const Resources& resources) const {
  Resources result = resources;
  if (result.pids_limit == 0) result.pids_limit = options_.default_pids_limit;
  return result;
}

absl::StatusOr<std::string> LinuxRuntime::LeafOf(const SandboxSpec& spec,
                                                 const std::string& id) const {
  return CgroupPath(spec.cgroup_parent, options_.default_cgroup_parent, id);
}

std::string LinuxRuntime::SandboxDir(const std::string& id) const {
  return absl::StrCat(options_.run_dir, "/sandboxes/", id);
}

std::string LinuxRuntime::ContainerDir(const std::string& id) const {
  return absl::StrCat(options_.run_dir, "/containers/", id);
}

std::string LinuxRuntime::RootfsDir(const std::string& id) const {
  return absl::StrCat(options_.state_dir, "/containers/", id, "/rootfs");
}

std::string LinuxRuntime::MountPointsDir() const {
  return absl::StrCat(options_.state_dir, "/mount_points");
}

std::vector<std::string> LinuxRuntime::ListSandboxIds() {
  std::vector<std::string> ids = mount_namespaces_->Pods();
  auto directories = base::ListDir(AT_FDCWD, options_.run_dir + "/sandboxes");
  if (directories.ok())
    ids.insert(ids.end(), directories->begin(), directories->end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::vector<std::string> LinuxRuntime::ListContainerIds() {
  std::vector<std::string> ids;
  auto running = base::ListDir(AT_FDCWD, options_.run_dir + "/containers");
  if (running.ok()) ids = *std::move(running);
  auto kept = base::ListDir(AT_FDCWD, options_.state_dir + "/containers");
  if (kept.ok()) {
    for (const std::string& id : *kept) {
      if (access(RootfsDir(id).c_str(), F_OK) == 0) ids.push_back(id);
    }
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace warren::runtime
