#ifndef WARREN_RUNTIME_SECCOMP_PROFILE_H_
#define WARREN_RUNTIME_SECCOMP_PROFILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// What a seccomp filter shall do, before it is a program of the kernel's
// packet filter (seccomp(2)). Plain values.
namespace warren::seccomp {

enum class ActionKind : uint8_t {
  kKillThread,
  kKillProcess,
  kTrap,   // SIGSYS
  kErrno,  // the call fails with `data`
  kTrace,  // a tracer decides, told `data`; ENOSYS without one
  kLog,    // allowed, and in the audit log
  kAllow,
};

struct Action {
  ActionKind kind = ActionKind::kKillProcess;
  uint16_t data = 0;  // kErrno, kTrace
  bool operator==(const Action&) const = default;
};

// Does the call go through?
constexpr bool Permits(const Action& action) {
  return action.kind == ActionKind::kAllow || action.kind == ActionKind::kLog;
}

enum class Comparison : uint8_t {
  kNotEqual,
  kLess,
  kLessOrEqual,
  kEqual,
  kGreaterOrEqual,
  kGreater,
  kMaskedEqual,  // (argument & value) == value_two
};

// On all 64 bits of an argument register (32 in a 32-bit process). The kernel
// may look at fewer: a comparison for equality is the only one that is safe
// for an `int`.
struct ArgumentCheck {
  uint32_t index = 0;  // 0..5
  Comparison comparison = Comparison::kEqual;
  uint64_t value = 0;
  uint64_t value_two = 0;
};

struct KernelVersion {
  uint32_t major = 0;
  uint32_t minor = 0;
  auto operator<=>(const KernelVersion&) const = default;
};

// Of an empty condition everything is true of `includes`, nothing of
// `excludes`.
struct Condition {
  uint64_t capabilities = 0;        // bit n = capability n
  std::vector<std::string> arches;  // "amd64", "x86_64", "SCMP_ARCH_X86_64"
  std::optional<KernelVersion> min_kernel;
};

struct Rule {
  std::vector<std::string> names;
  Action action;
  // All must hold. Two of the same argument: each makes a rule of its own, so
  // that one of them suffices, as profiles in use expect.
  std::vector<ArgumentCheck> arguments;
  // Counts only if all of `includes` and none of `excludes` is true.
  Condition includes;
  Condition excludes;
};

// Sub-architectures of one processor, named by libseccomp's SCMP_ARCH_* (the
// kernel's AUDIT_ARCH_*, but for x32).
using Architecture = uint32_t;

struct Profile {
  Action default_action;
  // Besides the node's own, which is always meant. Those that this processor
  // cannot run are left out.
  std::vector<Architecture> architectures;
  uint32_t filter_flags = 0;  // SECCOMP_FILTER_FLAG_* (seccomp(2))
  // Calls newer than every one Warren knows fail with ENOSYS, whatever
  // `default_action` says, so that libraries fall back to older ones.
  bool newer_calls_are_missing = false;
  std::vector<Rule> rules;

  // All capabilities that any rule depends on.
  uint64_t Capabilities() const;
};

}  // namespace warren::seccomp

#endif  // WARREN_RUNTIME_SECCOMP_PROFILE_H_
