#ifndef WARREN_AGENT_CRI_SYSCTL_POLICY_H_
#define WARREN_AGENT_CRI_SYSCTL_POLICY_H_

#include <absl/status/status.h>
#include <absl/strings/string_view.h>

namespace warren::agent {

// Which sysctls a pod may set (STR-2): only those whose value belongs to a
// namespace that is the pod's own (network_namespaces(7), ipc_namespaces(7)).
//   net.…                                         network namespace
//   kernel.shm…, kernel.msg…, kernel.sem, fs.mqueue.…   IPC namespace
// Names are dotted, of letters, digits, "_" and "-"; values have at most 256
// bytes and no NUL, CR or LF. Whether the kernel has such a name, and takes the
// value, shows only when it is written. kInvalidArgument names the field. Pure.
absl::Status CheckSysctl(absl::string_view field, absl::string_view name,
                         absl::string_view value, bool own_network,
                         bool own_ipc);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CRI_SYSCTL_POLICY_H_
