#ifndef WARREN_AGENT_CONVERT_SYSCTLS_H_
#define WARREN_AGENT_CONVERT_SYSCTLS_H_

#include <absl/status/status.h>

#include "agent/cri/cri.h"
#include "runtime/runtime.h"

// Part of ConvertSandbox: kernel parameters of the pod's own namespaces.
namespace warren::agent {

// Fills spec->sysctls from those asked for, and from what images have come to
// expect of a network of the pod's own: programs without privileges may use
// low ports (net.ipv4.ip_unprivileged_port_start) and send pings
// (net.ipv4.ping_group_range).
//
// A value that is a range of group ids (ping_group_range, two numbers) is in
// the pod's ids. The kernel takes it from a process of the node's user
// namespace, so that the spec has the node's ids.
//
// `decided_before`: a pod of an older agent, whose values are as they were
// written. Reads network, ipc and gid_mappings of `spec`. kInvalidArgument
// names the sysctl: one that is not the pod's own, a value that breaks lines, a
// group that the pod's mapping lacks.
absl::Status ConvertSysctls(const cri::LinuxPodSandboxConfig& linux_config,
                            bool decided_before, runtime::SandboxSpec* spec);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CONVERT_SYSCTLS_H_
