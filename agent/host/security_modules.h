#ifndef WARREN_AGENT_HOST_SECURITY_MODULES_H_
#define WARREN_AGENT_HOST_SECURITY_MODULES_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <set>
#include <string>

#include "agent/cri/cri.h"

// AppArmor profiles and SELinux labels of containers (EXE-8): applied where
// the kernel has the module, refused by name of the field where it has not,
// never left out in silence. Pure but for the reading of the facts.
namespace warren::agent {

// What the kernel has. Thread-compatible.
struct SecurityModules {
  bool apparmor = false;
  // Names of /sys/kernel/security/apparmor/profiles, whatever their mode.
  std::set<std::string, std::less<>> apparmor_profiles;
  bool selinux = false;
  // For an object that was checked when it was made: nothing is looked up, and
  // the profile and label of its record are put in afterwards.
  bool decided_before = false;
};

// Reads them below `sys`, the sysfs; profiles come and go, so for each
// request anew. What cannot be read is not there.
SecurityModules ReadSecurityModules(const std::string& sys = "/sys");

struct AppArmorRequest {
  bool present = false;  // the message beats the deprecated string
  const cri::SecurityProfile& profile;
  // "", "unconfined", "runtime/default", "localhost/<name>"
  absl::string_view deprecated;
  bool privileged = false;
};

// The profile to enter; "" = none.
//
//   asked for        with AppArmor                       without
//   Unconfined       none                                none
//   Localhost        that one, if it is loaded           refused
//   RuntimeDefault   `default_profile`, if it is set     refused
//                    and loaded; else refused
//   nothing          `default_profile`, if it is set     none
//                    (then it must be loaded)
//
// Privileged: none but Localhost. kInvalidArgument for what is malformed,
// kFailedPrecondition for what this node cannot apply.
absl::StatusOr<std::string> AppArmorProfile(absl::string_view field,
                                            const AppArmorRequest& request,
                                            const SecurityModules& modules,
                                            absl::string_view default_profile);

// The label "user:role:type:level" to enter; "" = none was asked for. What the
// options leave out is that of an ordinary container:
// system_u:system_r:container_t:s0. Levels are sN[-sN][:cA[.cB][,cC…]].
// Categories, which tell containers apart, are never made up: who shares the
// host's pid or ipc namespace has those of its request or none.
absl::StatusOr<std::string> SelinuxLabel(absl::string_view field,
                                         const cri::SELinuxOption& options,
                                         const SecurityModules& modules);

}  // namespace warren::agent

#endif  // WARREN_AGENT_HOST_SECURITY_MODULES_H_
