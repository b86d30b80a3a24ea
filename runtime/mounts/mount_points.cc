#include "runtime/mounts/mount_points.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/mounts/plan.h"

namespace warren::runtime {
namespace {

// Modes are set apart from making: the agent's umask must not count.
absl::StatusOr<base::UniqueFd> MakeDirectory(int parent,
                                             const std::string& name) {
  if (mkdirat(parent, name.c_str(), 0755) != 0 && errno != EEXIST) {
    return base::ErrnoError(errno, absl::StrCat("mkdir ", name));
  }
  ASSIGN_OR_RETURN(
      base::UniqueFd fd,
      base::OpenAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (fchmod(fd.get(), 0755) != 0) return base::ErrnoError(errno, name);
  return fd;
}

absl::Status MakeFile(int parent, const std::string& name) {
  ASSIGN_OR_RETURN(
      const base::UniqueFd fd,
      base::OpenAt(parent, name, O_RDONLY | O_CREAT | O_NOFOLLOW, 0644));
  if (fchmod(fd.get(), 0644) != 0) return base::ErrnoError(errno, name);
  return absl::OkStatus();
}

}  // namespace

absl::Status MakeMountPoints(const std::string& dir) {
  ASSIGN_OR_RETURN(const base::UniqueFd root, MakeDirectory(AT_FDCWD, dir));
  for (const char* name : {"dev", "proc", "sys"}) {
    RETURN_IF_ERROR(MakeDirectory(root.get(), name).status());
  }
  ASSIGN_OR_RETURN(const base::UniqueFd etc, MakeDirectory(root.get(), "etc"));
  for (const char* name : kPodFiles) {
    RETURN_IF_ERROR(MakeFile(etc.get(), name));
  }
  return absl::OkStatus();
}

}  // namespace warren::runtime
