#ifndef WARREN_AGENT_CTL_POD_FILE_H_
#define WARREN_AGENT_CTL_POD_FILE_H_

#include <absl/status/statusor.h>

#include <string>

#include "agent/ctl/pod_plan.h"

namespace warren::agent::ctl {

// The short YAML that `warrenctl run --file` takes; agent/ctl/README.md shows
// all keys. An unknown key, a wrong type or bad YAML is kInvalidArgument with
// the line. Pure.
absl::StatusOr<PodPlan> ParsePodFile(const std::string& yaml);

}  // namespace warren::agent::ctl

#endif  // WARREN_AGENT_CTL_POD_FILE_H_
