#ifndef WARREN_RUNTIME_LAUNCH_LATE_REAPER_H_
#define WARREN_RUNTIME_LAUNCH_LATE_REAPER_H_

#include "runtime/base/unique_fd.h"

namespace warren::runtime {

// Reaps a child for which nobody waits any more, whenever it ends: the shim of
// an exec session whose program is frozen or in state D. One thread for all of
// them, which lives as long as there are any. Does not block; thread-safe. When
// no thread can be had, the child is a zombie until this process ends.
void ReapLate(base::UniqueFd pidfd);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_LAUNCH_LATE_REAPER_H_
