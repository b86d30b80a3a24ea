#ifndef WARREN_RUNTIME_SHIM_EXIT_FILE_H_
#define WARREN_RUNTIME_SHIM_EXIT_FILE_H_

#include "runtime/base/unique_fd.h"
#include "runtime/shim/failure.h"
#include "warren/shim/v1/shim.pb.h"

namespace warren::shim {

// exit.pb in a container's run directory: how its first process ended. The
// space for it is taken before the program starts, so that a run directory that
// has become full meanwhile cannot lose an exit code. Errors are errnos.
class ExitFile {
 public:
  // Makes the file under a temporary name, with kBytes of its own
  // (fallocate(2)).
  Failure Reserve(int run_dir);
  // Fills it and gives it its name. Returns 0 or errno; then nothing is left
  // under the name, and the agent reports the exit code as lost. At most once.
  int Write(int run_dir, const v1::Exited& exited);
  // Removes what Reserve() made.
  void Discard(int run_dir);

 private:
  // Far more than a record takes; one page of tmpfs.
  static constexpr off_t kBytes = 4096;

  base::UniqueFd fd_;
};

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_EXIT_FILE_H_
