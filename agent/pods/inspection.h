#ifndef WARREN_AGENT_PODS_INSPECTION_H_
#define WARREN_AGENT_PODS_INSPECTION_H_

#include <absl/status/statusor.h>

#include <string>

#include "agent/store/store.h"
#include "netplugin/pod_network.h"
#include "runtime/runtime.h"
#include "warren/node/v1/node.pb.h"

namespace warren::agent {

// NodeService.InspectPodSandbox: the pod and each of its containers as the
// kernel shows them at the time of the call, plus names, states and phase
// timings from the store. A stopped sandbox has no namespaces left and shows
// only what the store has; so does one that stops during the call. `id` may be
// a unique prefix; kNotFound, kInvalidArgument for an ambiguous one; other
// errors are the runtime's or the network's. Nothing is changed. Thread-safe;
// takes no operation lock, so that a call that hangs can be looked at.
absl::StatusOr<::warren::node::v1::InspectPodSandboxResponse> InspectPodSandbox(
    const std::string& id, const Store& store, runtime::Runtime* runtime,
    netplugin::PodNetwork* network);

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_INSPECTION_H_
