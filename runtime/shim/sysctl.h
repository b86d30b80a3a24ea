#ifndef WARREN_RUNTIME_SHIM_SYSCTL_H_
#define WARREN_RUNTIME_SHIM_SYSCTL_H_

#include <cstdint>
#include <string>

#include "runtime/shim/failure.h"

namespace warren::shim {

// "net.ipv4.ip_forward" -> "sys/net/ipv4/ip_forward". As sysctl(8) has it, in
// a name whose first separator is '/', a '.' is just a character (interface
// names); in others '/' stands for such a dot. Empty when the name has an
// empty or a dots-only part.
std::string SysctlPath(const std::string& name);

// Writes one sysctl through `proc_fd`, a private procfs, for the namespaces
// that the caller is in. Nothing but a plain path below it is opened.
// `root_uid`: the host's number for the root of the pod's user namespace. Some
// kernels let only that user write the sysctls of an ipc namespace, older ones
// only the host's root: the second is tried first. Changes process-wide state
// for a moment.
Failure WriteSysctl(int proc_fd, const std::string& name,
                    const std::string& value, uint32_t root_uid);

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_SYSCTL_H_
