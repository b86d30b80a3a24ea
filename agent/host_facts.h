#ifndef WARREN_AGENT_HOST_FACTS_H_
#define WARREN_AGENT_HOST_FACTS_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>

#include "runtime/base/clock.h"

namespace warren::agent {

// What pods take over from the node when their request does not say.
struct HostFacts {
  std::string hostname;
  std::string resolv_conf;  // content of /etc/resolv.conf, "" if none
  std::string hosts;        // content of /etc/hosts, or localhost alone
  int64_t monotonic_now_ns = 0;
};

// Read anew for each pod. Thread-safe.
HostFacts ReadHostFacts(const base::Clock& clock);

// Of this boot: /proc/sys/kernel/random/boot_id (random(4)).
absl::StatusOr<std::string> ReadBootId();

}  // namespace warren::agent

#endif  // WARREN_AGENT_HOST_FACTS_H_
