#ifndef WARREN_AGENT_OPTIONS_ID_SPAN_H_
#define WARREN_AGENT_OPTIONS_ID_SPAN_H_

#include <cstdint>

namespace warren::agent {

// Ids of one user namespace that is granted: what a kubelet gives a pod too.
inline constexpr uint32_t kIdsOfAPod = 65536;

// User and group ids of the node; start and length are multiples of
// kIdsOfAPod. The default lies above what systemd gives to its containers
// (524288..1879048191) and below 2^31, which some programs take for negative.
struct IdSpan {
  uint32_t start = 1879048192;  // 0x70000000
  uint32_t length = 4092 * kIdsOfAPod;
  bool operator==(const IdSpan&) const = default;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_OPTIONS_ID_SPAN_H_
