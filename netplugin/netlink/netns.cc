#include "netplugin/netlink/netns.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

// How often and how long to wait for memory: a minute in all.
constexpr int kReturnTries = 600;
constexpr int kReturnPauseMs = 100;

// setns(2) needs memory. A thread that stayed in a pod would do the node's work
// there, so that there is no way on without it.
void ReturnTo(int home) {
  for (int tries = 0; setns(home, CLONE_NEWNET) < 0; ++tries) {
    if (errno != ENOMEM || tries == kReturnTries) {
      std::perror("cannot return to the node's network namespace");
      std::abort();
    }
    poll(nullptr, 0, kReturnPauseMs);
  }
}

}  // namespace

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
  ReturnTo(home.get());
  return status;
}

}  // namespace warren::netplugin
