#include "runtime/rootfs/overlay.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <thread>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/mount_calls.h"
#include "runtime/base/status.h"

namespace warren::runtime {
namespace {

// Descriptors by name: short enough for fsconfig's 255 bytes however deep the
// directory is, and says nothing of the host in the container's mountinfo.
std::string FdPath(int fd) { return absl::StrCat("/proc/self/fd/", fd); }

// Redirects and metacopy are attributes that a layer could bring (IMG-2).
std::vector<base::FsParameter> CommonParameters(const OverlayOptions& o,
                                                const UpperDirs& dirs) {
  std::vector<base::FsParameter> parameters = {
      {"redirect_dir", "nofollow"},
      {"metacopy", "off"},
      // Layers mark opaque directories with user.overlay.opaque
      // (runtime/image/README.md).
      {"userxattr", ""}};
  if (!o.label.empty()) parameters.push_back({"context", o.label});
  if (!dirs.upper.valid()) return parameters;
  parameters.push_back({"upperdir", FdPath(dirs.upper.get())});
  parameters.push_back({"workdir", FdPath(dirs.work.get())});
  parameters.push_back({"index", "off"});
  parameters.push_back({"volatile", ""});
  return parameters;
}

absl::StatusOr<base::UniqueFd> Mount(const OverlayOptions& o,
                                     const UpperDirs& dirs,
                                     std::vector<base::FsParameter> layers) {
  std::vector<base::FsParameter> parameters = CommonParameters(o, dirs);
  for (base::FsParameter& p : layers) parameters.push_back(std::move(p));
  return base::NewFileSystem("overlay", parameters, o.attributes);
}

// Linux 6.13: layers by descriptor, each an idmapped copy of its mount.
absl::StatusOr<base::UniqueFd> MountIdmapped(const OverlayOptions& o,
                                             const UpperDirs& dirs) {
  std::vector<base::UniqueFd> trees;
  std::vector<base::FsParameter> layers;
  for (auto dir = o.layer_dirs.rbegin(); dir != o.layer_dirs.rend(); ++dir) {
    ASSIGN_OR_RETURN(base::UniqueFd tree,
                     base::CloneTree(AT_FDCWD, *dir, false));
    RETURN_IF_ERROR(
        base::ChangeMount(tree.get(), {.set = MOUNT_ATTR_IDMAP,
                                       .propagation = MS_PRIVATE,
                                       .user_ns_fd = o.user_ns_fd}));
    layers.push_back({"lowerdir+", "", tree.get()});
    trees.push_back(std::move(tree));
  }
  return Mount(o, dirs, std::move(layers));
}

// Linux 6.7: one parameter for each layer.
absl::StatusOr<base::UniqueFd> MountPlain(const OverlayOptions& o,
                                          const UpperDirs& dirs) {
  std::vector<base::UniqueFd> held;
  std::vector<base::FsParameter> layers;
  for (auto dir = o.layer_dirs.rbegin(); dir != o.layer_dirs.rend(); ++dir) {
    ASSIGN_OR_RETURN(base::UniqueFd fd,
                     base::OpenAt(AT_FDCWD, *dir, O_PATH | O_DIRECTORY));
    layers.push_back({"lowerdir+", FdPath(fd.get())});
    held.push_back(std::move(fd));
  }
  return Mount(o, dirs, std::move(layers));
}

// In a private mount namespace: covers a layer's directory with its idmapped
// copy. Linux 5.19 takes that for a layer; it does not take a detached mount.
absl::Status CoverIdmapped(const std::string& dir, int user_ns_fd) {
  ASSIGN_OR_RETURN(const base::UniqueFd tree,
                   base::CloneTree(AT_FDCWD, dir, false));
  RETURN_IF_ERROR(base::ChangeMount(tree.get(), {.set = MOUNT_ATTR_IDMAP,
                                                 .propagation = MS_PRIVATE,
                                                 .user_ns_fd = user_ns_fd}));
  ASSIGN_OR_RETURN(const base::UniqueFd target,
                   base::OpenAt(AT_FDCWD, dir, O_PATH | O_DIRECTORY));
  return base::AttachMount(tree.get(), target.get());
}

// Before Linux 6.7: one option string of up to a page for all layers. Only
// mount(2) takes one that long, and it needs a place to mount: for a moment, in
// a private mount namespace. The mounts there are copies, so all directories
// are opened anew.
absl::StatusOr<base::UniqueFd> MountInPrivate(const OverlayOptions& o,
                                              bool idmapped) {
  if (unshare(CLONE_FS | CLONE_NEWNS) != 0) {
    return base::ErrnoError(errno, "unshare mount namespace");
  }
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return base::ErrnoError(errno, "make mounts private");
  }
  std::vector<base::UniqueFd> held;
  std::string lower;
  for (auto dir = o.layer_dirs.rbegin(); dir != o.layer_dirs.rend(); ++dir) {
    if (idmapped) RETURN_IF_ERROR(CoverIdmapped(*dir, o.user_ns_fd));
    ASSIGN_OR_RETURN(base::UniqueFd fd,
                     base::OpenAt(AT_FDCWD, *dir, O_PATH | O_DIRECTORY));
    absl::StrAppend(&lower, lower.empty() ? "" : ":", FdPath(fd.get()));
    held.push_back(std::move(fd));
  }
  UpperDirs dirs;
  if (o.make_upper != nullptr) {
    ASSIGN_OR_RETURN(dirs.upper, base::OpenAt(AT_FDCWD, o.dir + "/upper",
                                              O_PATH | O_DIRECTORY));
    ASSIGN_OR_RETURN(dirs.work, base::OpenAt(AT_FDCWD, o.dir + "/work",
                                             O_PATH | O_DIRECTORY));
  }
  std::string options = absl::StrCat("lowerdir=", lower);
  for (const base::FsParameter& p : CommonParameters(o, dirs)) {
    // A label may hold commas.
    const char* quote = p.key == "context" ? "\"" : "";
    absl::StrAppend(&options, ",", p.key, p.value.empty() ? "" : "=", quote,
                    p.value, quote);
  }
  if (options.size() >= 4096) {
    return absl::FailedPreconditionError(
        absl::StrCat("this kernel cannot mount ", o.layer_dirs.size(),
                     " layers; Linux 6.7 can"));
  }
  // lint: allow mount: before Linux 6.7 there is no other way; `dir` is ours
  if (mount("overlay", o.dir.c_str(), "overlay", 0, options.c_str()) != 0) {
    return base::ErrnoError(errno, "mount overlay");
  }
  ASSIGN_OR_RETURN(base::UniqueFd tree,
                   base::CloneTree(AT_FDCWD, o.dir, false));
  RETURN_IF_ERROR(base::ChangeMount(
      tree.get(), {.set = o.attributes, .propagation = MS_PRIVATE}));
  return tree;
}

absl::StatusOr<base::UniqueFd> MountLegacy(const OverlayOptions& o,
                                           bool idmapped) {
  absl::StatusOr<base::UniqueFd> result = absl::UnknownError("not run");
  std::thread thread([&] { result = MountInPrivate(o, idmapped); });
  thread.join();
  return result;
}

// A parameter or a kind of value that the kernel does not know yet; overlayfs
// before Linux 6.5 says EOPNOTSUPP to a descriptor.
bool KernelLacks(const absl::Status& status) {
  const int error = base::GetErrno(status);
  return error == EINVAL || error == EOPNOTSUPP;
}

// The ways to make the overlay.
struct Way {
  bool idmapped;
  bool legacy;
};

absl::StatusOr<base::UniqueFd> MountBy(const Way& way, const OverlayOptions& o,
                                       const UpperDirs& dirs) {
  if (way.legacy) return MountLegacy(o, way.idmapped);
  return way.idmapped ? MountIdmapped(o, dirs) : MountPlain(o, dirs);
}

}  // namespace

absl::StatusOr<Overlay> MakeOverlay(const OverlayOptions& o) {
  std::vector<Way> ways;  // best first
  if (o.user_ns_fd >= 0) {
    ways = {{.idmapped = true, .legacy = false},  // Linux 6.13
            {.idmapped = true, .legacy = true}};  // Linux 5.19
  }
  ways.push_back({.idmapped = false, .legacy = false});  // Linux 6.7
  ways.push_back({.idmapped = false, .legacy = true});
  absl::Status refusal;
  for (const Way& way : ways) {
    if (o.old_kernel && !way.legacy) continue;
    UpperDirs dirs;
    if (o.make_upper != nullptr) {
      ASSIGN_OR_RETURN(dirs, o.make_upper());
    }
    auto mount = MountBy(way, o, dirs);
    if (mount.ok()) return Overlay{*std::move(mount), way.idmapped};
    refusal = mount.status();
    if (!KernelLacks(refusal)) break;
  }
  return refusal;
}

}  // namespace warren::runtime
