#include "runtime/rootfs.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/mount_calls.h"

namespace warren::runtime {
namespace {

// overlayfs takes no more layers.
constexpr size_t kMaxLayers = 500;

struct UpperDirs {
  base::UniqueFd upper;
  base::UniqueFd work;
};

absl::StatusOr<base::UniqueFd> MakeDir(int parent, const char* name,
                                       const RootfsOptions& o) {
  if (mkdirat(parent, name, 0755) != 0) return base::ErrnoError(errno, name);
  ASSIGN_OR_RETURN(
      base::UniqueFd fd,
      base::OpenAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  // The upper folder's mode and owner are those of "/" in the container.
  if (fchmod(fd.get(), 0755) != 0 ||
      fchown(fd.get(), o.root_uid, o.root_gid) != 0) {
    return base::ErrnoError(errno, absl::StrCat("set owner of ", name));
  }
  return fd;
}

absl::StatusOr<UpperDirs> MakeUpper(const RootfsOptions& o) {
  RETURN_IF_ERROR(RemoveRootfs(o.dir));
  if (mkdir(o.dir.c_str(), 0700) != 0) return base::ErrnoError(errno, o.dir);
  ASSIGN_OR_RETURN(
      const base::UniqueFd dir,
      base::OpenAt(AT_FDCWD, o.dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  UpperDirs dirs;
  ASSIGN_OR_RETURN(dirs.upper, MakeDir(dir.get(), "upper", o));
  ASSIGN_OR_RETURN(dirs.work, MakeDir(dir.get(), "work", o));
  return dirs;
}

// Descriptors by name: short enough for fsconfig's 255 bytes however deep the
// folder is, and says nothing of the host in the container's mountinfo.
std::string FdPath(int fd) { return absl::StrCat("/proc/self/fd/", fd); }

// Redirects and metacopy are attributes that a layer could bring (IMG-2).
std::vector<FsParameter> CommonParameters(const UpperDirs& dirs) {
  return {{"upperdir", FdPath(dirs.upper.get())},
          {"workdir", FdPath(dirs.work.get())},
          {"redirect_dir", "nofollow"},
          {"metacopy", "off"},
          {"index", "off"},
          // Layers mark opaque folders with user.overlay.opaque
          // (runtime/image/README.md).
          {"userxattr", ""},
          {"volatile", ""}};
}

absl::StatusOr<base::UniqueFd> Mount(const RootfsOptions& o,
                                     const UpperDirs& dirs,
                                     std::vector<FsParameter> layers) {
  std::vector<FsParameter> parameters = CommonParameters(dirs);
  for (FsParameter& p : layers) parameters.push_back(std::move(p));
  return NewFileSystem("overlay", parameters, o.attributes);
}

// Linux 6.13: layers by descriptor, each an idmapped copy of its mount.
absl::StatusOr<base::UniqueFd> MountIdmapped(const RootfsOptions& o,
                                             const UpperDirs& dirs) {
  std::vector<base::UniqueFd> trees;
  std::vector<FsParameter> layers;
  for (auto dir = o.layer_dirs.rbegin(); dir != o.layer_dirs.rend(); ++dir) {
    ASSIGN_OR_RETURN(base::UniqueFd tree, CloneTree(AT_FDCWD, *dir, false));
    RETURN_IF_ERROR(ChangeMount(tree.get(), {.set = MOUNT_ATTR_IDMAP,
                                             .propagation = MS_PRIVATE,
                                             .user_ns_fd = o.user_ns_fd}));
    layers.push_back({"lowerdir+", "", tree.get()});
    trees.push_back(std::move(tree));
  }
  return Mount(o, dirs, std::move(layers));
}

// Linux 6.7: one parameter for each layer.
absl::StatusOr<base::UniqueFd> MountPlain(const RootfsOptions& o,
                                          const UpperDirs& dirs) {
  std::vector<base::UniqueFd> held;
  std::vector<FsParameter> layers;
  for (auto dir = o.layer_dirs.rbegin(); dir != o.layer_dirs.rend(); ++dir) {
    ASSIGN_OR_RETURN(base::UniqueFd fd,
                     base::OpenAt(AT_FDCWD, *dir, O_PATH | O_DIRECTORY));
    layers.push_back({"lowerdir+", FdPath(fd.get())});
    held.push_back(std::move(fd));
  }
  return Mount(o, dirs, std::move(layers));
}

// Before: one option string of up to a page, which only mount(2) takes, so
// that the overlay must be mounted somewhere for a moment: in a private mount
// namespace. Its mounts are copies, so all folders are opened anew in there.
absl::StatusOr<base::UniqueFd> MountInPrivate(const RootfsOptions& o) {
  if (unshare(CLONE_FS | CLONE_NEWNS) != 0) {
    return base::ErrnoError(errno, "unshare mount namespace");
  }
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return base::ErrnoError(errno, "make mounts private");
  }
  std::vector<base::UniqueFd> held;
  std::string lower;
  for (auto dir = o.layer_dirs.rbegin(); dir != o.layer_dirs.rend(); ++dir) {
    ASSIGN_OR_RETURN(base::UniqueFd fd,
                     base::OpenAt(AT_FDCWD, *dir, O_PATH | O_DIRECTORY));
    absl::StrAppend(&lower, lower.empty() ? "" : ":", FdPath(fd.get()));
    held.push_back(std::move(fd));
  }
  UpperDirs dirs;
  ASSIGN_OR_RETURN(dirs.upper, base::OpenAt(AT_FDCWD, o.dir + "/upper",
                                            O_PATH | O_DIRECTORY));
  ASSIGN_OR_RETURN(
      dirs.work, base::OpenAt(AT_FDCWD, o.dir + "/work", O_PATH | O_DIRECTORY));
  std::string options = absl::StrCat("lowerdir=", lower);
  for (const FsParameter& p : CommonParameters(dirs)) {
    absl::StrAppend(&options, ",", p.key, p.value.empty() ? "" : "=", p.value);
  }
  if (options.size() >= 4096) {
    return absl::FailedPreconditionError(
        absl::StrCat("this kernel cannot mount ", o.layer_dirs.size(),
                     " layers; Linux 6.7 can"));
  }
  // lint: allow mount: kernels before 6.7 know no other way, the folder is ours
  if (mount("overlay", o.dir.c_str(), "overlay", 0, options.c_str()) != 0) {
    return base::ErrnoError(errno, "mount overlay");
  }
  ASSIGN_OR_RETURN(base::UniqueFd tree, CloneTree(AT_FDCWD, o.dir, false));
  RETURN_IF_ERROR(ChangeMount(
      tree.get(), {.set = o.attributes, .propagation = MS_PRIVATE}));
  return tree;
}

absl::StatusOr<base::UniqueFd> MountLegacy(const RootfsOptions& o) {
  absl::StatusOr<base::UniqueFd> result = absl::UnknownError("not run");
  std::thread thread([&] { result = MountInPrivate(o); });
  thread.join();
  return result;
}

// A parameter or a kind of value that the kernel does not know yet; overlayfs
// before Linux 6.5 says EOPNOTSUPP to a descriptor.
bool KernelLacks(const absl::Status& status) {
  const int error = base::GetErrno(status);
  return error == EINVAL || error == EOPNOTSUPP;
}

// overlayfs leaves folders in `work`, and refuses a volatile one that was used
// before; each attempt gets fresh ones.
absl::StatusOr<Rootfs> TryAll(const RootfsOptions& o) {
  Rootfs rootfs;
  ASSIGN_OR_RETURN(UpperDirs dirs, MakeUpper(o));
  if (o.user_ns_fd >= 0 && !o.old_kernel) {
    auto mount = MountIdmapped(o, dirs);
    if (mount.ok()) {
      rootfs.mount = *std::move(mount);
      return rootfs;
    }
    if (!KernelLacks(mount.status())) return mount.status();
    ASSIGN_OR_RETURN(dirs, MakeUpper(o));
  }
  rootfs.shift_owners = o.user_ns_fd >= 0;
  if (!o.old_kernel) {
    auto mount = MountPlain(o, dirs);
    if (mount.ok()) {
      rootfs.mount = *std::move(mount);
      return rootfs;
    }
    if (!KernelLacks(mount.status())) return mount.status();
    ASSIGN_OR_RETURN(dirs, MakeUpper(o));
  }
  ASSIGN_OR_RETURN(rootfs.mount, MountLegacy(o));
  return rootfs;
}

}  // namespace

absl::StatusOr<Rootfs> MakeRootfs(const RootfsOptions& options) {
  if (options.layer_dirs.empty() || options.layer_dirs.size() > kMaxLayers) {
    return absl::InvalidArgumentError(
        absl::StrCat("rootfs: an image must have 1 to ", kMaxLayers,
                     " layers, this has ", options.layer_dirs.size()));
  }
  auto rootfs = TryAll(options);
  if (!rootfs.ok()) {
    RemoveRootfs(options.dir).IgnoreError();
    return base::Annotate(rootfs.status(), "rootfs");
  }
  return rootfs;
}

absl::Status RemoveRootfs(const std::string& dir) {
  return base::RemoveTree(AT_FDCWD, dir);
}

}  // namespace warren::runtime
