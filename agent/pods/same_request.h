#ifndef WARREN_AGENT_PODS_SAME_REQUEST_H_
#define WARREN_AGENT_PODS_SAME_REQUEST_H_

#include <absl/status/status.h>

#include <string>
#include <vector>

#include "agent/cri/cri.h"

// Whether a request under a taken name asks again for the object that has the
// name (REL-6). A kubelet whose call was cut off sends it again, not byte for
// byte: the file of the termination log is a new random one at every try, and
// variables and groups come out of unordered sets. Each function returns the
// paths of the fields that differ, in a fixed order; none = the same request.
// Paths only: values may be secrets. Both configurations passed validation or
// come out of a record. Pure.
namespace warren::agent {

// Compared: image, command, args, envs (as a set of pairs), user and groups
// (as a set), capabilities (as sets), privileged, and the annotation
// io.kubernetes.container.hash, which stands for the rest where one of the two
// has it. Mounts, labels, resources and the other annotations do not count.
std::vector<std::string> DifferingFields(const cri::ContainerConfig& first,
                                         const cri::ContainerConfig& again);

// For two configurations of one metadata. Compared: what the pod is made of
// and cannot change later: hostname, port_mappings, cgroup_parent, sysctls, the
// security context, and the annotations below warren.dev/, which this agent
// reads. Labels and other annotations do not count, because a user may edit
// them between two tries; log_directory, dns_config and resources do not,
// because a kubelet computes them anew.
std::vector<std::string> DifferingFields(const cri::PodSandboxConfig& first,
                                         const cri::PodSandboxConfig& again);

// kAlreadyExists that names the `fields`; OK if there are none. `what` has the
// name, e.g. "the container name \"web\"".
absl::Status CheckSame(const std::string& what,
                       const std::vector<std::string>& fields);

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_SAME_REQUEST_H_
