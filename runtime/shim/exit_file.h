#ifndef WARREN_RUNTIME_SHIM_EXIT_FILE_H_
#define WARREN_RUNTIME_SHIM_EXIT_FILE_H_

#include <string>

#include "runtime/base/unique_fd.h"
#include "runtime/shim/failure.h"
#include "warren/shim/v1/shim.pb.h"

namespace warren::shim {

// exit.pb in a container's run directory: how its first process ended. The
// space for it is taken before the program starts, so that a run directory that
// has become full meanwhile cannot lose an exit code. Errors are errnos.
// Blocks as long as the file system of the run directory does.
class ExitFile {
 public:
  // Makes the file under a temporary name, with kBytes of its own
  // (fallocate(2)).
  Failure Reserve(int run_dir);
  // Fills it and gives it its name. A call that fails is made again, kTries
  // times in all. A record that cannot be renamed stays whole under its
  // temporary name, where the agent looks, too (ReadExitFile). Returns 0 or
  // errno; then nothing is left under either name, and the agent reports the
  // exit code as lost. At most once.
  int Write(int run_dir, const v1::Exited& exited);
  // Removes what Reserve() made.
  void Discard(int run_dir);

 private:
  // Far more than a record takes; one page of tmpfs.
  static constexpr off_t kBytes = 4096;
  static constexpr int kTries = 3;

  // One try to make `data` the content of the file. Returns 0 or errno.
  int Fill(const std::string& data) const;

  base::UniqueFd fd_;
};

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_EXIT_FILE_H_
