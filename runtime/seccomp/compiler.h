#ifndef WARREN_RUNTIME_SECCOMP_COMPILER_H_
#define WARREN_RUNTIME_SECCOMP_COMPILER_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>

#include "runtime/seccomp/profile.h"

namespace warren::seccomp {

// What a node's conditions are held against.
struct Host {
  Architecture architecture = 0;  // of the kernel
  KernelVersion kernel;
  // Does the kernel have the x32 calls of x86-64 (few do)? Without, programs
  // are shorter: nobody can make one.
  bool x32 = false;
};
absl::StatusOr<Host> ThisHost();

// A filter as seccomp(2) takes it.
struct Program {
  std::string instructions;  // sock_filter[], at most BPF_MAXINSNS
  uint32_t flags = 0;        // SECCOMP_FILTER_FLAG_*
  bool operator==(const Program&) const = default;
};

// The program of `profile` for a process whose bounding set is `capabilities`.
// kInvalidArgument names what of the profile cannot be had. Names of calls
// that are unknown here are skipped, as other runtimes do: nobody can make
// them. Milliseconds of processor time; not thread-safe (libseccomp keeps
// state of its own), see ProgramCache.
//
// - A call of an architecture that the profile does not name gets the default
//   action, or kills the process where that would permit it.
// - Where a 32-bit x86 process makes a call through socketcall(2) or ipc(2),
//   its arguments are in memory, out of a filter's sight. A call that is
//   permitted for some arguments only gets the default action there.
absl::StatusOr<Program> Compile(const Profile& profile, uint64_t capabilities,
                                const Host& host);

}  // namespace warren::seccomp

#endif  // WARREN_RUNTIME_SECCOMP_COMPILER_H_
