#include "runtime/seccomp/prologue.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "runtime/seccomp/names.h"

namespace warren::seccomp {
namespace {

constexpr uint32_t kX32Bit = 0x40000000;
// Calls of 32-bit ARM's own: cacheflush, set_tls and so on.
constexpr uint32_t kFirstPrivateArmCall = 0x0f0000;

sock_filter Load(size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset));
}

sock_filter Return(const Action& action) {
  return BPF_STMT(BPF_RET | BPF_K, ReturnValue(action));
}

sock_filter Jump(uint16_t test, uint32_t value, size_t yes, size_t no) {
  return BPF_JUMP(static_cast<uint16_t>(BPF_JMP | BPF_K | test), value,
                  static_cast<uint8_t>(yes), static_cast<uint8_t>(no));
}

void Append(std::vector<sock_filter> from, std::vector<sock_filter>* to) {
  to->insert(to->end(), from.begin(), from.end());
}

std::vector<sock_filter> NewerCalls(const Prologue& prologue) {
  std::vector<sock_filter> tests;
  for (const auto& [call, action] : prologue.calls) {
    Append({Jump(BPF_JEQ, call, 0, 1), Return(action)}, &tests);
  }
  if (prologue.newer_calls_are_missing) {
    Append({Jump(BPF_JGT, kNewestCall, 0, 2),
            Jump(BPF_JGE, kFirstPrivateArmCall, 1, 0),
            Return({ActionKind::kErrno, ENOSYS})},
           &tests);
  }
  if (tests.empty()) return tests;
  std::vector<sock_filter> all = {
      Load(offsetof(seccomp_data, nr)),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~kX32Bit),
      Jump(BPF_JGE, kFirstUnifiedCall, 0, tests.size())};
  Append(std::move(tests), &all);
  return all;
}

std::vector<sock_filter> MultiplexedCalls(const Prologue& prologue) {
  std::vector<sock_filter> tests;
  for (const Multiplexed& m : prologue.refused) {
    // The upper half of ipc's is a version (ipc(2), linux/ipc.h).
    Append({Load(offsetof(seccomp_data, nr)), Jump(BPF_JEQ, m.call, 0, 4),
            Load(offsetof(seccomp_data, args)),
            BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xffff),
            Jump(BPF_JEQ, m.operation, 0, 1), Return(prologue.refusal)},
           &tests);
  }
  if (tests.empty()) return tests;
  std::vector<sock_filter> all = {Load(offsetof(seccomp_data, arch))};
  // Jumps reach 255 instructions; this one may have to go further.
  Append({Jump(BPF_JEQ, AUDIT_ARCH_I386, 1, 0),
          BPF_STMT(BPF_JMP | BPF_JA, static_cast<uint32_t>(tests.size()))},
         &all);
  Append(std::move(tests), &all);
  return all;
}

}  // namespace

uint32_t ReturnValue(const Action& action) {
  switch (action.kind) {
    case ActionKind::kKillThread:
      return SECCOMP_RET_KILL_THREAD;
    case ActionKind::kKillProcess:
      return SECCOMP_RET_KILL_PROCESS;
    case ActionKind::kTrap:
      return SECCOMP_RET_TRAP;
    case ActionKind::kErrno:
      return SECCOMP_RET_ERRNO | action.data;
    case ActionKind::kTrace:
      return SECCOMP_RET_TRACE | action.data;
    case ActionKind::kLog:
      return SECCOMP_RET_LOG;
    case ActionKind::kAllow:
      return SECCOMP_RET_ALLOW;
  }
  return SECCOMP_RET_KILL_PROCESS;
}

std::vector<sock_filter> Assemble(const Prologue& prologue) {
  std::vector<sock_filter> all = NewerCalls(prologue);
  Append(MultiplexedCalls(prologue), &all);
  return all;
}

}  // namespace warren::seccomp
