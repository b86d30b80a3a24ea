#ifndef WARREN_AGENT_CRI_CAPABILITY_NAMES_H_
#define WARREN_AGENT_CRI_CAPABILITY_NAMES_H_

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <string>
#include <vector>

#include "agent/cri/cri.h"

// Capabilities by name (capabilities(7)); masks have bit n for number n. What
// the daemon itself lacks is taken away later, by runtime::Privileges. Pure.
namespace warren::agent {

// All that Linux knows up to CAP_CHECKPOINT_RESTORE (40).
uint64_t AllCapabilities();

// What a container gets when its request names none: the fourteen that Docker
// and containerd give, which images are built for.
uint64_t DefaultCapabilities();

// "NET_ADMIN", "cap_net_admin"; 0 = unknown.
uint64_t CapabilityMask(absl::string_view name);

// The names of a mask with their prefix, lowest number first.
std::vector<std::string> CapabilityNames(uint64_t mask);

struct CapabilitySets {
  uint64_t bounding = 0;  // = effective = permitted
  uint64_t ambient = 0;   // = inheritable; a part of `bounding`
};

// The default set with the request applied: ALL first (added, then dropped),
// then single adds, then single drops, so that drops win. What is to be
// ambient is added too. kInvalidArgument names an unknown capability. `field`
// is the path of `request` in messages.
absl::StatusOr<CapabilitySets> ApplyCapabilities(
    absl::string_view field, const cri::Capability& request);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CRI_CAPABILITY_NAMES_H_
