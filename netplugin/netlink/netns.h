#ifndef WARREN_NETPLUGIN_NETLINK_NETNS_H_
#define WARREN_NETPLUGIN_NETLINK_NETNS_H_

#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "runtime/base/unique_fd.h"

namespace warren::netplugin {

// Runs `act` with the calling thread inside the network namespace `netns_fd`
// and returns with it back where it was; the process ends (abort) if it cannot
// get back, since all later work of the thread would hit the wrong namespace.
// `act` opens sockets and writes /proc/sys/net, which belong to the namespace
// of the thread that opens them, and starts no thread. kInvalidArgument when
// `netns_fd` (borrowed) is no network namespace. Needs CAP_SYS_ADMIN in the
// user namespace that owns it. setns(2) moves this thread alone. Thread-safe;
// takes as long as `act`, and at most a minute longer when the kernel has no
// memory for the way back; without one the process ends.
absl::Status InNetns(int netns_fd, absl::FunctionRef<absl::Status()> act);

// The network namespace of the calling thread.
absl::StatusOr<base::UniqueFd> OpenOwnNetns();

// True when both descriptors are the same namespace: nsfs device and inode, as
// namespaces(7) says.
absl::StatusOr<bool> IsSameNetns(int a, int b);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_NETLINK_NETNS_H_
