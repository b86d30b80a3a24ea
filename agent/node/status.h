#ifndef WARREN_AGENT_NODE_STATUS_H_
#define WARREN_AGENT_NODE_STATUS_H_

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "agent/cri/cri.h"
#include "agent/options/options.h"
#include "netplugin/ip.h"
#include "netplugin/pod_network.h"
#include "runtime/runtime.h"

// What the node says of itself: pure functions from facts to messages.
namespace warren::agent {

cri::VersionResponse BuildVersion();

struct NodeFacts {
  runtime::Features features;
  netplugin::Health network;
  // What it does not let pass between others than pods (PodNetwork::Refused).
  std::string refused = {};
  // Damaged records that this agent put aside when it started.
  std::vector<std::string> quarantined;
  // Objects that the agent could not see through so far; it goes on trying.
  std::vector<std::string> unknown = {};
  // What the agent tries to finish or remove and could not so far.
  std::vector<std::string> unsettled = {};
  // Other files of ours or of the node that are there and cannot be read:
  // "<file>: <what is wrong, what is lost with it>".
  std::vector<std::string> unreadable = {};
};

// Conditions RuntimeReady and NetworkReady, which a kubelet reads, then
// RecordsReadable, ObjectsKnown, NothingLeftOver and OthersForwarded, which
// tell an operator more. With `verbose`
// info["config"] holds the configuration in force as JSON (key "stateDir" among
// others) and info["features"] what the kernel gave and what the daemon lacks.
cri::StatusResponse BuildStatus(const Options& options, const NodeFacts& facts,
                                bool verbose);

// The cgroup driver: always CGROUPFS, whatever the spelling of parents.
cri::RuntimeConfigResponse BuildRuntimeConfig();

// "10.1.0.0/16" or "10.1.0.0/16,fd00::/64"; kInvalidArgument otherwise. Host
// bits are cleared, as an orchestrator may leave them set.
absl::StatusOr<std::vector<netplugin::IpPrefix>> ParsePodCidr(
    const std::string& pod_cidr);

}  // namespace warren::agent

#endif  // WARREN_AGENT_NODE_STATUS_H_
