#ifndef WARREN_TESTS_E2E_KUBELET_FIXTURE_H_
#define WARREN_TESTS_E2E_KUBELET_FIXTURE_H_

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "tests/support/cri_client.h"

namespace warren::test {

// What a throwaway node has instead of a node's own places.
struct KubeletNode {
  std::string root;           // goes before every path of the host
  std::string cgroup_parent;  // goes before every cgroup path
  bool unified = false;       // cgroup v2
};

// The requests of one pod, in the order of its file. Ids, the image and the
// copy of the sandbox configuration are filled in when they are sent.
struct KubeletFixture {
  cri::PodSandboxConfig sandbox;
  std::vector<cri::ContainerConfig> containers;
  std::vector<cri::ExecSyncRequest> execs;
  cri::UpdatePodSandboxResourcesRequest pod_update;
  cri::UpdateContainerResourcesRequest update;
};

// Reads kubelet/<name>.textproto (kubelet/README.md describes the format) for
// a node. A field that CRI does not have is an error with its line.
//
// On cgroup v1 a kubelet says "no swap" otherwise, and so does this: memory
// plus swap equal the memory limit, instead of `unified`.
absl::StatusOr<KubeletFixture> ReadKubeletFixture(const std::string& name,
                                                  const KubeletNode& node);

}  // namespace warren::test

#endif  // WARREN_TESTS_E2E_KUBELET_FIXTURE_H_
