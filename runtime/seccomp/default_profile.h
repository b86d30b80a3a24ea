#ifndef WARREN_RUNTIME_SECCOMP_DEFAULT_PROFILE_H_
#define WARREN_RUNTIME_SECCOMP_DEFAULT_PROFILE_H_

#include "runtime/seccomp/profile.h"

namespace warren::seccomp {

// What `RuntimeDefault` means: a list of what is allowed, EPERM for the rest,
// ENOSYS where a library has something older to fall back to. The table in
// the .cc file is the documentation, README.md says why. Made once; valid for
// ever. Thread-safe.
const Profile& RuntimeDefault();

}  // namespace warren::seccomp

#endif  // WARREN_RUNTIME_SECCOMP_DEFAULT_PROFILE_H_
