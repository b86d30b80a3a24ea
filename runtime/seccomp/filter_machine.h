#ifndef WARREN_RUNTIME_SECCOMP_FILTER_MACHINE_H_
#define WARREN_RUNTIME_SECCOMP_FILTER_MACHINE_H_

#include <absl/strings/string_view.h>

#include <cstdint>
#include <initializer_list>
#include <string>

// The kernel's packet filter as far as filters of system calls use it, so that
// tests can ask a program about calls of any architecture. Tests only.
namespace warren::seccomp {

// The value the kernel would get for that call: SECCOMP_RET_*. Fails the test
// on an instruction that is not valid there.
uint32_t Evaluate(absl::string_view instructions, uint32_t audit_arch,
                  uint32_t call, std::initializer_list<uint64_t> arguments);

// "allow", "log", "errno 1", "trace 7", "trap", "kill thread", "kill process".
std::string Describe(uint32_t value);

// How many instructions one evaluation takes.
size_t Steps(absl::string_view instructions, uint32_t audit_arch,
             uint32_t call);

}  // namespace warren::seccomp

#endif  // WARREN_RUNTIME_SECCOMP_FILTER_MACHINE_H_
