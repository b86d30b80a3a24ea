#ifndef WARREN_RUNTIME_SECCOMP_NAMES_H_
#define WARREN_RUNTIME_SECCOMP_NAMES_H_

#include <absl/strings/string_view.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/seccomp/profile.h"

// Names that profiles use, and what they stand for. Pure.
namespace warren::seccomp {

// "CAP_SYS_ADMIN" -> 21.
std::optional<int> CapabilityByName(absl::string_view name);

// "EPERM" -> 1.
std::optional<uint16_t> ErrnoByName(absl::string_view name);

// "SCMP_ARCH_X86_64"; nullopt for a name nobody knows, 0 for an architecture
// that Warren does not run on.
std::optional<Architecture> ArchitectureByName(absl::string_view name);

// Every word for `architecture` that a condition may use; empty for one that
// Warren does not run on.
std::vector<std::string> WordsFor(Architecture architecture);

// The architectures whose programs a processor of this one runs, itself first.
std::vector<Architecture> RunnableOn(Architecture native);

// System calls that came after the ones libseccomp 2.5 knows. From number 424
// on they have the same number on every architecture (Linux 5.1, "unify all
// architectures").
std::optional<uint32_t> NewerCallByName(absl::string_view name);
inline constexpr uint32_t kFirstUnifiedCall = 424;
inline constexpr uint32_t kNewestCall = 469;  // file_setattr, Linux 6.17

}  // namespace warren::seccomp

#endif  // WARREN_RUNTIME_SECCOMP_NAMES_H_
