#ifndef WARREN_AGENT_CTL_LOG_FILES_H_
#define WARREN_AGENT_CTL_LOG_FILES_H_

#include <string>
#include <vector>

namespace warren::agent::ctl {

// Removes the log files of containers that `run` made:
// <root>/<pod>/<container>/<n>.log. The directories of container and pod go
// when they are empty then. CRI leaves logs to the caller, a kubelet otherwise.
// What is not there, or not a file, is left alone.
void RemoveLogFiles(const std::vector<std::string>& paths);

}  // namespace warren::agent::ctl

#endif  // WARREN_AGENT_CTL_LOG_FILES_H_
