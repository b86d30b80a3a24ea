#ifndef WARREN_AGENT_HOST_FACTS_H_
#define WARREN_AGENT_HOST_FACTS_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>

#include "agent/host/security_modules.h"
#include "runtime/base/clock.h"

namespace warren::agent {

// What the operator decided that concerns what pods may ask for (options.h).
struct NodePolicy {
  bool ambient_capabilities = false;  // may be asked for
  std::string apparmor_default_profile = {};
  bool grant_ids = false;  // user namespaces for pods that ask for none
};

// What pods take over from the node when their request does not say, and what
// of their requests the node can do.
struct HostFacts {
  std::string hostname;
  std::string resolv_conf;  // content of /etc/resolv.conf, "" if none
  std::string hosts;        // content of /etc/hosts, or localhost alone
  int64_t monotonic_now_ns = 0;
  SecurityModules modules = {};
  NodePolicy policy = {};
};

// Read anew for each pod, but for the policy, which is passed on. Thread-safe.
HostFacts ReadHostFacts(const base::Clock& clock, const NodePolicy& policy);

// Of this boot: /proc/sys/kernel/random/boot_id (random(4)).
absl::StatusOr<std::string> ReadBootId();

}  // namespace warren::agent

#endif  // WARREN_AGENT_HOST_FACTS_H_
