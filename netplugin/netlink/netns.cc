#include "netplugin/netlink/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::netplugin {

absl::StatusOr<base::UniqueFd> OpenOwnNetns() {
  return base::OpenAt(AT_FDCWD, "/proc/thread-self/ns/net", O_RDONLY);
}

absl::StatusOr<bool> IsSameNetns(int a, int b) {
  struct stat first = {};
  struct stat second = {};
  if (fstat(a, &first) < 0 || fstat(b, &second) < 0) {
    return base::ErrnoError(errno, "looking at a network namespace");
  }
  return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

absl::Status InNetns(int netns_fd, absl::FunctionRef<absl::Status()> act) {
  ASSIGN_OR_RETURN(const base::UniqueFd home, OpenOwnNetns());
  if (setns(netns_fd, CLONE_NEWNET) < 0) {
    const int err = errno;
    const absl::Status status =
        base::ErrnoError(err, "entering the network namespace");
    if (err != EINVAL && err != EBADF) return status;
    return absl::InvalidArgumentError(status.message());
  }
  const absl::Status status = act();
  if (setns(home.get(), CLONE_NEWNET) < 0) {
    std::perror("cannot return to the node's network namespace");
    std::abort();
  }
  return status;
}

}  // namespace warren::netplugin
