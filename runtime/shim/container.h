#ifndef WARREN_RUNTIME_SHIM_CONTAINER_H_
#define WARREN_RUNTIME_SHIM_CONTAINER_H_

#include <memory>

#include "runtime/base/unique_fd.h"
#include "runtime/shim/wire.h"

namespace warren::shim {

// Container mode: starts the first process, tells the agent, stays until the
// container has ended. Frees `input` as soon as the program runs. Returns the
// exit status of the shim.
int RunContainer(std::unique_ptr<LaunchInput> input,
                 base::UniqueFd launch_socket);

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_CONTAINER_H_
