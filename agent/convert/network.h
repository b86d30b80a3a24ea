#ifndef WARREN_AGENT_CONVERT_NETWORK_H_
#define WARREN_AGENT_CONVERT_NETWORK_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>

#include "agent/cri/cri.h"
#include "netplugin/pod_network.h"

// What a pod asks of its network, as plain values. Pure.
namespace warren::agent {

// The annotations by which Kubernetes limits a pod's traffic. Each holds a
// resource quantity in bits per second: "10M", "1.5Gi", "1e6".
inline constexpr char kIngressBandwidth[] = "kubernetes.io/ingress-bandwidth";
inline constexpr char kEgressBandwidth[] = "kubernetes.io/egress-bandwidth";

// For a pod with a network namespace of its own whose ConvertSandbox succeeded.
// kInvalidArgument names a bandwidth that is no quantity, or not within 1k and
// 1P, the limits of Kubernetes itself (k8s.io/kubernetes/pkg/util/bandwidth).
absl::StatusOr<netplugin::PodRequest> ConvertNetwork(
    const std::string& id, const cri::PodSandboxConfig& config);

// kUnimplemented, naming the field, for what no network of this build does. A
// pod of an earlier build that has it goes on.
absl::Status CheckNetworkIsBuilt(const netplugin::PodRequest& request);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CONVERT_NETWORK_H_
