#include "agent/ctl/log_files.h"

#include <unistd.h>

namespace warren::agent::ctl {

void RemoveLogFiles(const std::vector<std::string>& paths) {
  for (std::string path : paths) {
    if (path.empty() || path.front() != '/') continue;
    (void)::unlink(path.c_str());
    // The container's directory, then the pod's; a directory that holds
    // something else stays.
    for (int level = 0; level < 2 && path.rfind('/') > 0; ++level) {
      path.resize(path.rfind('/'));
      (void)::rmdir(path.c_str());
    }
  }
}

}  // namespace warren::agent::ctl
