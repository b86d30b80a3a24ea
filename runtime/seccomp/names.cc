#include "runtime/seccomp/names.h"

#include <absl/strings/match.h>
#include <seccomp.h>

#include <cstring>
#include <iterator>

#include "runtime/base/capability.h"

namespace warren::seccomp {
namespace {

constexpr int kLastErrno = 133;  // EHWPOISON (errno(3))

struct ArchitectureName {
  const char* name;
  Architecture architecture;
};
constexpr ArchitectureName kArchitectures[] = {
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
    {"SCMP_ARCH_MIPS", 0},
    {"SCMP_ARCH_MIPS64", 0},
    {"SCMP_ARCH_MIPS64N32", 0},
    {"SCMP_ARCH_MIPSEL", 0},
    {"SCMP_ARCH_MIPSEL64", 0},
    {"SCMP_ARCH_MIPSEL64N32", 0},
    {"SCMP_ARCH_PPC", 0},
    {"SCMP_ARCH_PPC64", 0},
    {"SCMP_ARCH_PPC64LE", 0},
    {"SCMP_ARCH_S390", 0},
    {"SCMP_ARCH_S390X", 0},
    {"SCMP_ARCH_PARISC", 0},
    {"SCMP_ARCH_PARISC64", 0},
    {"SCMP_ARCH_RISCV64", 0},
    {"SCMP_ARCH_LOONGARCH64", 0},
    {"SCMP_ARCH_M68K", 0},
    {"SCMP_ARCH_SH", 0},
    {"SCMP_ARCH_SHEB", 0}};

// From kNewerBase on, without a gap (include/uapi/asm-generic/unistd.h).
constexpr uint32_t kNewerBase = 449;
constexpr const char* kNewerCalls[] = {
    "futex_waitv",       "set_mempolicy_home_node",
    "cachestat",         "fchmodat2",
    "map_shadow_stack",  "futex_wake",
    "futex_wait",        "futex_requeue",
    "statmount",         "listmount",
    "lsm_get_self_attr", "lsm_set_self_attr",
    "lsm_list_modules",  "mseal",
    "setxattrat",        "getxattrat",
    "listxattrat",       "removexattrat",
    "open_tree_attr",    "file_getattr",
    "file_setattr"};
static_assert(kNewerBase + std::size(kNewerCalls) - 1 == kNewestCall);

}  // namespace

std::optional<int> CapabilityByName(absl::string_view name) {
  if (!absl::StartsWith(name, "CAP_")) return std::nullopt;
  name.remove_prefix(4);
  for (size_t i = 0; i < std::size(base::kCapabilityNames); ++i) {
    if (name == base::kCapabilityNames[i]) return static_cast<int>(i);
  }
  return std::nullopt;
}

std::optional<uint16_t> ErrnoByName(absl::string_view name) {
  for (int error = 1; error <= kLastErrno; ++error) {
    const char* known = strerrorname_np(error);
    if (known != nullptr && name == known) return static_cast<uint16_t>(error);
  }
  return std::nullopt;
}

std::optional<Architecture> ArchitectureByName(absl::string_view name) {
  for (const ArchitectureName& known : kArchitectures) {
    if (name == known.name) return known.architecture;
  }
  return std::nullopt;
}

std::vector<std::string> WordsFor(Architecture architecture) {
  switch (architecture) {
    case SCMP_ARCH_X86_64:
      return {"amd64", "x86_64", "SCMP_ARCH_X86_64"};
    case SCMP_ARCH_AARCH64:
      return {"arm64", "aarch64", "SCMP_ARCH_AARCH64"};
    default:
      return {};
  }
}

std::vector<Architecture> RunnableOn(Architecture native) {
  switch (native) {
    case SCMP_ARCH_X86_64:
      return {SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32};
    case SCMP_ARCH_AARCH64:
      return {SCMP_ARCH_AARCH64, SCMP_ARCH_ARM};
    default:
      return {native};
  }
}

std::optional<uint32_t> NewerCallByName(absl::string_view name) {
  for (size_t i = 0; i < std::size(kNewerCalls); ++i) {
    if (name == kNewerCalls[i]) return kNewerBase + static_cast<uint32_t>(i);
  }
  return std::nullopt;
}

}  // namespace warren::seccomp
