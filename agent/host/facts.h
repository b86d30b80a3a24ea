#ifndef WARREN_AGENT_HOST_FACTS_H_
#define WARREN_AGENT_HOST_FACTS_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "agent/host/security_modules.h"
#include "runtime/base/clock.h"

namespace warren::agent {

// What the operator decided that concerns what pods may ask for (options.h).
struct NodePolicy {
  bool ambient_capabilities = false;  // may be asked for
  std::string apparmor_default_profile = {};
  bool grant_ids = false;  // user namespaces for pods that ask for none
  // No pod may map its ids to a host id below it; 0 = any will do.
  uint32_t userns_min_host_id = 0;
};

// What pods take over from the node when their request does not say, and what
// of their requests the node can do.
struct HostFacts {
  std::string hostname;
  // Content of /etc/resolv.conf; "" if there is none or it cannot be read.
  std::string resolv_conf;
  // Content of /etc/hosts; localhost alone if there is none or it cannot be
  // read.
  std::string hosts;
  int64_t monotonic_now_ns = 0;
  SecurityModules modules = {};
  NodePolicy policy = {};
  // Which of the two files is there and cannot be read: "<file>: <what is
  // wrong, what pods lack>". A missing file is none of them.
  std::vector<std::string> unreadable = {};
};

// Fills resolv_conf, hosts and unreadable from the files in `etc`.
void ReadHostFiles(const std::string& etc, HostFacts* facts);

// Read anew for each pod, but for the policy, which is passed on. Thread-safe.
HostFacts ReadHostFacts(const base::Clock& clock, const NodePolicy& policy);

// Of this boot: /proc/sys/kernel/random/boot_id (random(4)).
absl::StatusOr<std::string> ReadBootId();

}  // namespace warren::agent

#endif  // WARREN_AGENT_HOST_FACTS_H_
