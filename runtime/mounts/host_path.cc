#include "runtime/mounts/host_path.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <system_error>
#include <thread>

#include "runtime/base/file.h"
#include "runtime/base/mount_calls.h"
#include "runtime/base/mountinfo.h"
#include "runtime/base/path.h"
#include "runtime/base/status.h"

namespace warren::runtime {
namespace {

constexpr size_t kMountInfoLimit = 64 << 20;

// The mount that `fd` is on, as the agent's mount namespace has it.
absl::StatusOr<base::MountEntry> MountOf(int fd) {
  struct statx stx;
  if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) != 0) {
    return base::ErrnoError(errno, "statx");
  }
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadFileAt(AT_FDCWD, "/proc/thread-self/mountinfo",
                                    kMountInfoLimit));
  ASSIGN_OR_RETURN(const auto entries, base::ParseMountInfo(text));
  for (const base::MountEntry& entry : entries) {
    if (entry.id == stx.stx_mnt_id) return entry;
  }
  return absl::FailedPreconditionError("not on a mount of the host");
}

// rslave and rshared of something private would silently do nothing.
absl::Status CheckPropagation(int fd, const std::string& path,
                              MountPropagation propagation) {
  if (propagation == MountPropagation::kPrivate) return absl::OkStatus();
  ASSIGN_OR_RETURN(const base::MountEntry mount, MountOf(fd));
  const bool two_way = propagation == MountPropagation::kBidirectional;
  if (mount.shared || (mount.slave && !two_way)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "mount propagation: \"", path, "\" is on \"", mount.target,
      two_way ? "\", which is not a shared mount"
              : "\", which is neither a shared nor a slave mount"));
}

absl::Status SetAttributes(const HostPathOptions& options, int tree) {
  if (options.attributes == 0) return absl::OkStatus();
  const absl::Status status = base::ChangeMount(
      tree,
      {.set = options.attributes, .recursive = options.recursive_attributes});
  const int error = base::GetErrno(status);
  if (!options.recursive_attributes || (error != ENOSYS && error != EINVAL)) {
    return status;
  }
  return absl::FailedPreconditionError(
      absl::StrCat("RROUnsupported: ", status.message()));
}

// mount_setattr(2): EINVAL when the file system has no idmapped mounts, EPERM
// when the mount is idmapped already.
absl::Status MapOwners(const HostSource& source, int tree) {
  const int user_ns_fd = source.options.user_ns_fd;
  if (user_ns_fd < 0) return absl::OkStatus();
  const absl::Status status = base::ChangeMount(
      tree, {.set = MOUNT_ATTR_IDMAP, .user_ns_fd = user_ns_fd});
  const int error = base::GetErrno(status);
  if (error != EINVAL && error != EPERM) return status;
  if (source.options.mapped_by_default) return absl::OkStatus();
  const auto mount = MountOf(source.place.get());
  const std::string fs_type = mount.ok() ? mount->fs_type : "unknown";
  return absl::FailedPreconditionError(absl::StrCat(
      "owners cannot be mapped (by uidMappings and gidMappings, or those of "
      "the pod's user namespace): ",
      error == EPERM ? "the mount is idmapped already"
                     : "its file system has no idmapped mounts",
      " (type ", fs_type, ")"));
}

// In a copy of the mount namespace, which pinned mount namespaces are left out
// of (copy_mnt_ns of fs/namespace.c, since Linux 3.11), as they are not of a
// copied tree. The copy's mounts are in the peer groups of the originals.
absl::StatusOr<base::UniqueFd> CloneInCopiedNamespace(int place,
                                                      const std::string& path) {
  if (unshare(CLONE_NEWNS) != 0) {
    return base::ErrnoError(errno, "copy the mount namespace");
  }
  ASSIGN_OR_RETURN(base::UniqueFd tree,
                   base::CloneTree(AT_FDCWD, path, /*recursive=*/true));
  struct stat there, here;
  if (fstat(place, &there) != 0 || fstat(tree.get(), &here) != 0) {
    return base::ErrnoError(errno, "stat of a source");
  }
  if (there.st_dev != here.st_dev || there.st_ino != here.st_ino) {
    return absl::FailedPreconditionError("was replaced while it was copied");
  }
  return tree;
}

absl::StatusOr<base::UniqueFd> CloneAround(const HostSource& source) {
  const int place = source.place.get();
  ASSIGN_OR_RETURN(const std::string path, base::PathOfFd(place));
  if (!base::IsAtOrBelow(source.options.pinned_at, path)) {
    return base::CloneTree(place, "", /*recursive=*/true);
  }
  absl::StatusOr<base::UniqueFd> tree = absl::UnknownError("not run");
  // The caller's mount namespace and working directory stay what they are.
  try {
    std::thread([&] { tree = CloneInCopiedNamespace(place, path); }).join();
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("start a thread: ", error.what()));
  }
  return tree;
}

// rprivate, rslave, or rshared with the top apart.
absl::Status SetPropagation(int place, MountPropagation propagation,
                            HostTree* tree) {
  if (propagation == MountPropagation::kBidirectional) {
    ASSIGN_OR_RETURN(tree->peer, base::CloneTree(place, "", false));
    return base::ChangeMount(tree->mount.get(), {.propagation = MS_PRIVATE});
  }
  const bool is_private = propagation == MountPropagation::kPrivate;
  return base::ChangeMount(
      tree->mount.get(),
      {.propagation = static_cast<uint64_t>(is_private ? MS_PRIVATE : MS_SLAVE),
       .recursive = true});
}

}  // namespace

absl::StatusOr<base::UniqueFd> MakeHostDirs(const std::string& path) {
  ASSIGN_OR_RETURN(base::UniqueFd current,
                   base::OpenAt(AT_FDCWD, "/", O_PATH | O_DIRECTORY));
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    const std::string name(part);
    const bool made = mkdirat(current.get(), name.c_str(), 0755) == 0;
    if (!made && errno != EEXIST) {
      return base::ErrnoError(errno, absl::StrCat("mkdir ", path));
    }
    ASSIGN_OR_RETURN(
        base::UniqueFd next,
        base::OpenAt(current.get(), name,
                     O_RDONLY | O_DIRECTORY | (made ? O_NOFOLLOW : O_PATH)));
    if (made && fchmod(next.get(), 0755) != 0) {
      return base::ErrnoError(errno, absl::StrCat("chmod ", path));
    }
    current = std::move(next);
  }
  return current;
}

absl::StatusOr<HostSource> OpenHostSource(const std::string& path,
                                          const HostPathOptions& options) {
  auto place = base::OpenAt(AT_FDCWD, path, O_PATH);
  if (!place.ok() && options.make_missing &&
      base::GetErrno(place.status()) == ENOENT) {
    place = MakeHostDirs(path);
  }
  if (!place.ok()) return place.status();
  RETURN_IF_ERROR(CheckPropagation(place->get(), path, options.propagation));
  HostSource source = {path, options, *std::move(place), {}};
  if (options.user_ns_fd >= 0) {
    ASSIGN_OR_RETURN(source.user_ns, base::DupFd(options.user_ns_fd));
    source.options.user_ns_fd = source.user_ns.get();
  }
  return source;
}

absl::StatusOr<HostTree> CloneHostSource(const HostSource& source) {
  const int place = source.place.get();
  const HostPathOptions& options = source.options;
  const std::string& path = source.path;
  struct stat st;
  if (fstat(place, &st) != 0) return base::ErrnoError(errno, path);
  HostTree tree;
  tree.is_file = !S_ISDIR(st.st_mode);
  const bool around =
      options.recursive && !tree.is_file && !options.pinned_at.empty();
  ASSIGN_OR_RETURN_IN(tree.mount,
                      around ? CloneAround(source)
                             : base::CloneTree(place, "", options.recursive),
                      path);
  RETURN_IF_ERROR_IN(MapOwners(source, tree.mount.get()), path);
  RETURN_IF_ERROR(SetAttributes(options, tree.mount.get()));
  RETURN_IF_ERROR_IN(SetPropagation(place, options.propagation, &tree), path);
  return tree;
}

absl::StatusOr<HostTree> OpenHostPath(const std::string& path,
                                      const HostPathOptions& options) {
  ASSIGN_OR_RETURN(const HostSource source, OpenHostSource(path, options));
  return CloneHostSource(source);
}

}  // namespace warren::runtime
