#ifndef WARREN_RUNTIME_IMAGE_UNPACK_SECCOMP_H_
#define WARREN_RUNTIME_IMAGE_UNPACK_SECCOMP_H_

#include <absl/status/status.h>

namespace warren::image {

// Loads the allow-list of warren-unpack into this thread, for good: reads and
// writes of open descriptors, calls that make, remove, open and describe
// files, memory without PROT_EXEC, and leaving. Every other call ends the
// process with SIGSYS. no_new_privs must be set.
absl::Status LoadSeccompFilter();

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_UNPACK_SECCOMP_H_
