#ifndef WARREN_AGENT_STORE_RECORD_CONVERT_H_
#define WARREN_AGENT_STORE_RECORD_CONVERT_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <optional>

#include "agent/host/facts.h"
#include "netplugin/pod_network.h"
#include "runtime/runtime.h"
#include "warren/record/v1/record.pb.h"

// Plain values of the runtime and the network to and from their records. Pure.
namespace warren::agent {

// "user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time": the names of
// /proc/<pid>/ns, as records and replies spell them.
const char* NamespaceName(runtime::NamespaceKind kind);
// "pod", "container", "host", "target": whose namespace it is, in replies.
const char* NamespaceModeName(runtime::NamespaceMode mode);

void Put(const runtime::SandboxFacts& facts,
         ::warren::record::v1::PodSandboxRecord* record);
runtime::SandboxFacts GetFacts(
    const ::warren::record::v1::PodSandboxRecord& record);

// Replaces what the record has of the pod's network; none = it has no network
// of its own, or gave it back.
void Put(const std::optional<netplugin::NetworkState>& network,
         ::warren::record::v1::PodSandboxRecord* record);
// Whether the record says that the pod has one, readable or not.
bool HasNetwork(const ::warren::record::v1::PodSandboxRecord& record);
// Reads records of before the PodNetwork seam too, as NetworkState says.
// kDataLoss when an address does not parse.
absl::StatusOr<std::optional<netplugin::NetworkState>> GetNetwork(
    const ::warren::record::v1::PodSandboxRecord& record);

void Put(const runtime::ContainerFacts& facts,
         ::warren::record::v1::ContainerRecord* record);
runtime::ContainerFacts GetFacts(
    const ::warren::record::v1::ContainerRecord& record);

// Process, shim and time of start.
void Put(const runtime::StartFacts& facts,
         ::warren::record::v1::ContainerRecord* record);

// The specs as they were at creation: what was resolved then, or for a record
// of version 1, what its request comes to by today's rules. A spec of version 1
// lacks what Runtime::ResolveSandbox and ResolveContainer add.
absl::StatusOr<runtime::SandboxSpec> RestoreSpec(
    const ::warren::record::v1::PodSandboxRecord& record,
    const HostFacts& host);
absl::StatusOr<runtime::ContainerSpec> RestoreSpec(
    const ::warren::record::v1::ContainerRecord& record,
    const ::warren::record::v1::PodSandboxRecord& sandbox_record,
    const runtime::SandboxSpec& sandbox);

}  // namespace warren::agent

#endif  // WARREN_AGENT_STORE_RECORD_CONVERT_H_
