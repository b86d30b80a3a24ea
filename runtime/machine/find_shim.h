#ifndef WARREN_RUNTIME_MACHINE_FIND_SHIM_H_
#define WARREN_RUNTIME_MACHINE_FIND_SHIM_H_

#include <absl/status/statusor.h>

#include <string>

#include "runtime/base/deadline.h"
#include "runtime/base/look.h"
#include "runtime/base/process.h"
#include "runtime/base/unique_fd.h"
#include "runtime/runtime.h"

// Is the shim of a container alive? Asked after a restart, with no more at hand
// than its run directory and perhaps the record of the start.
namespace warren::runtime {

struct LiveShim {
  StartFacts start;
  base::UniqueFd pidfd;  // of the shim
};

// The shim of a start that is on record needs no asking: its process lives or
// it does not, however long it may hang in a write to a log. Another
// (start.shim is zero) has to answer at shim.sock in the run directory
// (borrowed) until `deadline`, at most 20 s; one that does not is unknown.
// Thread-safe.
base::Look<LiveShim> FindShim(int run_dir_fd, const StartFacts& start,
                              const base::Deadline& deadline);

// Who listens at shim.sock in the directory `run_dir`, which may be missing;
// pid 0 when nobody does. Waits for a queue that is full until `deadline`, at
// most 10 s.
absl::StatusOr<base::ProcessId> ShimBehindSocket(
    const std::string& run_dir, const base::Deadline& deadline);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MACHINE_FIND_SHIM_H_
