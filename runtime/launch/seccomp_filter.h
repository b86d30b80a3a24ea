#ifndef WARREN_RUNTIME_LAUNCH_SECCOMP_FILTER_H_
#define WARREN_RUNTIME_LAUNCH_SECCOMP_FILTER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>

#include "runtime/runtime.h"
#include "runtime/seccomp/program_cache.h"

// A container's seccomp filter: made once, at CreateContainer, and kept in the
// run directory (filter.pb), so that exec sessions get that very filter also
// when the profile has changed or the agent was replaced meanwhile (EXE-7).
namespace warren::runtime {

// Null for kUnconfined. A Localhost profile is read now. Errors name the field
// and the file; kFailedPrecondition when that is not there, kInvalidArgument
// when it is no profile.
absl::StatusOr<seccomp::ProgramPtr> MakeFilter(const SeccompChoice& choice,
                                               uint64_t capabilities,
                                               seccomp::ProgramCache* cache);

// Writes nothing for a null filter.
absl::Status SaveFilter(int run_dir_fd, const seccomp::ProgramPtr& filter);

// The one that was saved; null for kUnconfined. One of RuntimeDefault that is
// not there (the container is older than filters) is made; one of Localhost is
// kDataLoss: its profile may be another by now. Any other error: the look
// failed (EMFILE, EIO …), the filter may be whole.
absl::StatusOr<seccomp::ProgramPtr> LoadFilter(int run_dir_fd,
                                               const SeccompChoice& choice,
                                               uint64_t capabilities,
                                               seccomp::ProgramCache* cache);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_LAUNCH_SECCOMP_FILTER_H_
