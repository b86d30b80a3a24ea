#ifndef WARREN_AGENT_CTL_APP_H_
#define WARREN_AGENT_CTL_APP_H_

#include <string>
#include <vector>

#include "agent/ctl/session.h"

namespace warren::agent::ctl {

// One run of warrenctl with `args` (program name left out); returns the exit
// code (session.h). Writes to `output` only.
int RunWarrenctl(const std::vector<std::string>& args, const Output& output);

}  // namespace warren::agent::ctl

#endif  // WARREN_AGENT_CTL_APP_H_
