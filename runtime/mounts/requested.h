#ifndef WARREN_RUNTIME_MOUNTS_REQUESTED_H_
#define WARREN_RUNTIME_MOUNTS_REQUESTED_H_

#include <absl/status/statusor.h>

#include <vector>

#include "runtime/mounts/plan.h"
#include "runtime/runtime.h"

// The part of a mount plan that the request and the image ask for. Pure.
namespace warren::runtime {

struct RequestedMounts {
  // Volumes of the image that lie below no mount of the request: the base
  // mounts, such as /etc/hosts, go on top of them.
  std::vector<PlannedMount> volumes;
  // All others, parents first; equals keep the request's order. What is a
  // parent is told by where the targets lead, not by how they are spelled.
  std::vector<PlannedMount> mounts;
};

// `guard_devices`: every mount must be nodev. Errors as of PlanMounts.
absl::StatusOr<RequestedMounts> PlanRequestedMounts(const ContainerSpec& spec,
                                                    const MountHost& host,
                                                    bool guard_devices,
                                                    const PlaceFinder& place);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MOUNTS_REQUESTED_H_
