#ifndef WARREN_AGENT_CTL_NAME_MATCH_H_
#define WARREN_AGENT_CTL_NAME_MATCH_H_

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <string>

#include "agent/ctl/client.h"

// From what a person types to an id. The Match functions are pure; kNotFound
// when nothing fits, kInvalidArgument when several do.
namespace warren::agent::ctl {

// A pod by its name, "namespace/name", id or the start of its id. Of several
// pods with one name (attempts) a ready one wins over those that are not.
absl::StatusOr<cri::PodSandbox> MatchPod(
    const cri::ListPodSandboxResponse& pods, absl::string_view text);

// A container by its name, id or the start of its id; of several attempts the
// running one wins.
absl::StatusOr<cri::Container> MatchContainer(
    const cri::ListContainersResponse& containers, absl::string_view text);

// The same against what the daemon has now.
absl::StatusOr<cri::PodSandbox> FindPod(Client& client, absl::string_view text);
// "CONTAINER", "POD/CONTAINER", or "POD" when that pod has exactly one.
absl::StatusOr<cri::Container> FindContainer(Client& client,
                                             absl::string_view text);

}  // namespace warren::agent::ctl

#endif  // WARREN_AGENT_CTL_NAME_MATCH_H_
