#ifndef WARREN_RUNTIME_SHIM_SANDBOX_H_
#define WARREN_RUNTIME_SHIM_SANDBOX_H_

#include <memory>

#include "runtime/base/unique_fd.h"
#include "runtime/shim/wire.h"

namespace warren::shim {

// Sandbox mode: makes a pod's namespaces, sets them up, pins them, starts the
// pod init if asked for, leaves. A failure leaves no process and an empty
// pin directory. `argv0` is overwritten to name the pod init. Returns the
// exit status of the shim.
int RunSandbox(std::unique_ptr<LaunchInput> input, base::UniqueFd launch_socket,
               char* argv0);

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_SANDBOX_H_
