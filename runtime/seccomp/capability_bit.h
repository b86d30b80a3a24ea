#ifndef WARREN_RUNTIME_SECCOMP_CAPABILITY_BIT_H_
#define WARREN_RUNTIME_SECCOMP_CAPABILITY_BIT_H_

#include <cstdint>

namespace warren::seccomp {

// The bit of a capability (capability(7)) in a set of them.
constexpr uint64_t Bit(int capability) { return uint64_t{1} << capability; }

}  // namespace warren::seccomp

#endif  // WARREN_RUNTIME_SECCOMP_CAPABILITY_BIT_H_
