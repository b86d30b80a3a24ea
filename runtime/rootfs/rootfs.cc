#include "runtime/rootfs/rootfs.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/remove_tree.h"
#include "runtime/base/status.h"
#include "runtime/rootfs/overlay.h"

namespace warren::runtime {
namespace {

// overlayfs takes no more layers.
constexpr size_t kMaxLayers = 500;

absl::StatusOr<base::UniqueFd> MakeDir(int parent, const char* name,
                                       const RootfsOptions& o) {
  if (mkdirat(parent, name, 0755) != 0) return base::ErrnoError(errno, name);
  ASSIGN_OR_RETURN(
      base::UniqueFd fd,
      base::OpenAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  // The upper directory's mode and owner are those of "/" in the container.
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

}  // namespace

absl::StatusOr<Rootfs> MakeRootfs(const RootfsOptions& options) {
  if (options.layer_dirs.empty() || options.layer_dirs.size() > kMaxLayers) {
    return absl::InvalidArgumentError(
        absl::StrCat("rootfs: an image must have 1 to ", kMaxLayers,
                     " layers, this has ", options.layer_dirs.size()));
  }
  OverlayOptions overlay;
  overlay.layer_dirs = options.layer_dirs;
  overlay.dir = options.dir;
  overlay.make_upper = [&] { return MakeUpper(options); };
  overlay.attributes = options.attributes;
  overlay.user_ns_fd = options.user_ns_fd;
  overlay.label = options.label;
  overlay.old_kernel = options.old_kernel;
  auto made = MakeOverlay(overlay);
  if (!made.ok()) {
    RemoveRootfs(options.dir).IgnoreError();
    return base::Annotate(made.status(), "rootfs");
  }
  return Rootfs{std::move(made->mount),
                options.user_ns_fd >= 0 && !made->idmapped};
}

absl::StatusOr<base::UniqueFd> MakeRootfsDirectory(const std::string& dir,
                                                   const std::string& name) {
  ASSIGN_OR_RETURN(const base::UniqueFd parent,
                   base::OpenAt(AT_FDCWD, dir, O_PATH | O_DIRECTORY));
  const bool made = mkdirat(parent.get(), name.c_str(), 0755) == 0;
  if (!made && errno != EEXIST) return base::ErrnoError(errno, name);
  ASSIGN_OR_RETURN(
      base::UniqueFd directory,
      base::OpenAt(parent.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (made && fchmod(directory.get(), 0755) != 0) {
    return base::ErrnoError(errno, name);
  }
  return directory;
}

absl::Status RemoveRootfs(const std::string& dir,
                          const base::Deadline& deadline) {
  return base::RemoveTree(AT_FDCWD, dir, deadline);
}

}  // namespace warren::runtime
