#include "runtime/host_path.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/mount_calls.h"
#include "runtime/mountinfo.h"

namespace warren::runtime {
namespace {

constexpr size_t kMountInfoLimit = 64 << 20;

// The mount that `fd` is on, as the agent's mount namespace has it.
absl::StatusOr<MountEntry> MountOf(int fd) {
  struct statx stx;
  if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) != 0) {
    return base::ErrnoError(errno, "statx");
  }
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadFileAt(AT_FDCWD, "/proc/thread-self/mountinfo",
                                    kMountInfoLimit));
  ASSIGN_OR_RETURN(const auto entries, ParseMountInfo(text));
  for (const MountEntry& entry : entries) {
    if (entry.id == stx.stx_mnt_id) return entry;
  }
  return absl::FailedPreconditionError("not on a mount of the host");
}

// rslave and rshared of something private would silently do nothing.
absl::Status CheckPropagation(int fd, const std::string& path,
                              MountPropagation propagation) {
  if (propagation == MountPropagation::kPrivate) return absl::OkStatus();
  ASSIGN_OR_RETURN(const MountEntry mount, MountOf(fd));
  const bool two_way = propagation == MountPropagation::kBidirectional;
  if (mount.shared || (mount.slave && !two_way)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "mount propagation: \"", path, "\" is on \"", mount.target,
      two_way ? "\", which is not a shared mount"
              : "\", which is neither a shared nor a slave mount"));
}

uint64_t PropagationFlag(MountPropagation propagation) {
  switch (propagation) {
    case MountPropagation::kPrivate:
      return MS_PRIVATE;
    case MountPropagation::kHostToContainer:
      return MS_SLAVE;
    case MountPropagation::kBidirectional:
      return 0;  // the copy is a peer of its source already
  }
  return MS_PRIVATE;
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

absl::StatusOr<HostTree> OpenHostPath(const std::string& path,
                                      const HostPathOptions& options) {
  auto place = base::OpenAt(AT_FDCWD, path, O_PATH);
  if (!place.ok() && options.make_missing &&
      base::GetErrno(place.status()) == ENOENT) {
    place = MakeHostDirs(path);
  }
  if (!place.ok()) return place.status();
  struct stat st;
  if (fstat(place->get(), &st) != 0) return base::ErrnoError(errno, path);
  RETURN_IF_ERROR(CheckPropagation(place->get(), path, options.propagation));
  HostTree tree;
  tree.is_file = !S_ISDIR(st.st_mode);
  ASSIGN_OR_RETURN_IN(tree.mount,
                      CloneTree(place->get(), "", options.recursive), path);
  if (options.attributes != 0) {
    RETURN_IF_ERROR_IN(ChangeMount(tree.mount.get(),
                                   {.set = options.attributes,
                                    .recursive = options.recursive_attributes}),
                       path);
  }
  const uint64_t propagation = PropagationFlag(options.propagation);
  if (propagation != 0) {
    RETURN_IF_ERROR_IN(
        ChangeMount(tree.mount.get(),
                    {.propagation = propagation, .recursive = true}),
        path);
  }
  return tree;
}

}  // namespace warren::runtime
