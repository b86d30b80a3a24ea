#ifndef WARREN_AGENT_CTL_PULL_COMMAND_H_
#define WARREN_AGENT_CTL_PULL_COMMAND_H_

#include <absl/status/statusor.h>

#include <string>

#include "agent/ctl/session.h"
#include "warren/node/v1/node.pb.h"

namespace warren::agent::ctl {

// Pulls the image and shows how far it is on the session's error stream, unless
// replies are JSON. Blocks until the pull has ended, however long it takes.
absl::StatusOr<node::PulledImage> Pull(Session& session,
                                       const node::PullImageRequest& request);

// image pull.
void AddPullCommand(CLI::App& image, Action* action);

}  // namespace warren::agent::ctl

#endif  // WARREN_AGENT_CTL_PULL_COMMAND_H_
