#ifndef WARREN_RUNTIME_SHIM_SIGNALS_H_
#define WARREN_RUNTIME_SHIM_SIGNALS_H_

#include "runtime/base/unique_fd.h"
#include "runtime/shim/failure.h"

namespace warren::shim {

// A shim outlives its agent and a shutdown's first wave: hang-up, interrupt,
// terminate and friends are ignored. init resets that before execve.
void IgnoreSignals();

// Blocks SIGCHLD and makes a non-blocking signalfd for it. Without that no end
// of a program would be seen: a failure ends the launch.
Failure WatchChildren(base::UniqueFd* signals);

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_SIGNALS_H_
