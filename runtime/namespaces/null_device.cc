#include "runtime/namespaces/null_device.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>

#include "runtime/base/mount_calls.h"
#include "runtime/base/status.h"

namespace warren::runtime {

absl::StatusOr<base::UniqueFd> MakeNullDevice() {
  ASSIGN_OR_RETURN(
      base::UniqueFd root,
      base::NewFileSystem(
          "tmpfs", {{"mode", "0755"}, {"size", "4k"}, {"nr_inodes", "3"}},
          MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
  if (mkdirat(root.get(), "dev", 0755) != 0) {
    return base::ErrnoError(errno, "mkdir dev");
  }
  if (mknodat(root.get(), kNullName, S_IFCHR | 0600, makedev(1, 3)) != 0) {
    return base::ErrnoError(errno, "mknod null");
  }
  // Not left to the umask.
  if (fchmodat(root.get(), kNullName, 0666, 0) != 0) {
    return base::ErrnoError(errno, "chmod null");
  }
  const base::UniqueFd fs(
      fspick(root.get(), "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC));
  if (!fs.valid()) return base::ErrnoError(errno, "fspick");
  if (fsconfig(fs.get(), FSCONFIG_SET_FLAG, "ro", nullptr, 0) != 0 ||
      fsconfig(fs.get(), FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0) != 0) {
    return base::ErrnoError(errno, "make the null device read-only");
  }
  RETURN_IF_ERROR(base::ChangeMount(root.get(), {.set = MOUNT_ATTR_RDONLY}));
  return root;
}

}  // namespace warren::runtime
