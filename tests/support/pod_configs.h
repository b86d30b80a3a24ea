#ifndef WARREN_TESTS_SUPPORT_POD_CONFIGS_H_
#define WARREN_TESTS_SUPPORT_POD_CONFIGS_H_

#include <string>
#include <vector>

#include "runtime/v1/api.pb.h"

// Requests as a kubelet would send them, to be changed by a test. Pure.
namespace warren::test {

inline constexpr char kBusybox[] = "warren.local/busybox:latest";

// A pod with a private pid namespace per container; uid and namespace filled,
// log directory `log_root`/<name>.
::runtime::v1::PodSandboxConfig PodConfig(const std::string& name,
                                          const std::string& log_root);

// A container of the default image that runs `command`; log path
// "<name>/<attempt>.log".
::runtime::v1::ContainerConfig ContainerConfig(
    const std::string& name, const std::vector<std::string>& command);

// sh -c `script` in the default image.
::runtime::v1::ContainerConfig ShellConfig(const std::string& name,
                                           const std::string& script);
// Does nothing until it is stopped, and ends at once on SIGTERM.
::runtime::v1::ContainerConfig IdleConfig(const std::string& name);

// Namespace options of a pod or of a container.
::runtime::v1::NamespaceOption* NamespaceOptions(
    ::runtime::v1::PodSandboxConfig* pod);
::runtime::v1::NamespaceOption* NamespaceOptions(
    ::runtime::v1::ContainerConfig* container);

// Maps 65536 ids from `host_start` on; the same for uid and gid.
void UseUserNamespace(::runtime::v1::NamespaceOption* options,
                      uint32_t host_start);

void AddMount(::runtime::v1::ContainerConfig* container,
              const std::string& host_path, const std::string& container_path,
              bool readonly);

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_POD_CONFIGS_H_
