#ifndef WARREN_AGENT_STORE_RECORD_SPECS_H_
#define WARREN_AGENT_STORE_RECORD_SPECS_H_

#include <absl/status/statusor.h>

#include "runtime/specs.h"
#include "warren/record/v1/record.pb.h"

// Resolved specs to and from their records. What is read was valid when it was
// written, so no rule of today is asked about it; only a value that no version
// ever wrote is kDataLoss. Pure.
namespace warren::agent {

void Put(const runtime::SandboxSpec& spec,
         ::warren::record::v1::PodSandboxRecord* record);
// `record` has `resolved`.
absl::StatusOr<runtime::SandboxSpec> GetSpec(
    const ::warren::record::v1::PodSandboxRecord& record);

// Not in it: the pod's spec, the layers of the rootfs, and the user and devices
// of the request, which GetFacts() knows as what they came to.
void Put(const runtime::ContainerSpec& spec,
         ::warren::record::v1::ContainerRecord* record);
// `record` has `resolved`; `sandbox` becomes part of the result.
absl::StatusOr<runtime::ContainerSpec> GetSpec(
    const ::warren::record::v1::ContainerRecord& record,
    const runtime::SandboxSpec& sandbox);

}  // namespace warren::agent

#endif  // WARREN_AGENT_STORE_RECORD_SPECS_H_
