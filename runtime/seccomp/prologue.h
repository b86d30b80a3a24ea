#ifndef WARREN_RUNTIME_SECCOMP_PROLOGUE_H_
#define WARREN_RUNTIME_SECCOMP_PROLOGUE_H_

#include <linux/filter.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/seccomp/profile.h"

// Instructions in front of libseccomp's, for what that cannot say. Jumps of
// the packet filter are relative, so that a program may follow any other.
namespace warren::seccomp {

// A multiplexed call of 32-bit x86: its number and the first argument.
struct Multiplexed {
  uint32_t call = 0;  // 102 socketcall(2), 117 ipc(2)
  uint32_t operation = 0;
};

struct Prologue {
  // Calls from number 424 on, alike on every architecture.
  std::vector<std::pair<uint32_t, Action>> calls;
  bool newer_calls_are_missing = false;
  std::vector<Multiplexed> refused;
  Action refusal;  // of those
};

// What the kernel takes as a filter's answer: SECCOMP_RET_*.
uint32_t ReturnValue(const Action& action);

// Falls through for everything else; empty when there is nothing to say.
std::vector<sock_filter> Assemble(const Prologue& prologue);

}  // namespace warren::seccomp

#endif  // WARREN_RUNTIME_SECCOMP_PROLOGUE_H_
