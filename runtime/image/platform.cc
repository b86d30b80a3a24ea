#include "runtime/image/platform.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include <utility>

#include "runtime/image/tar_entry.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace warren::image {
namespace {

#if defined(__x86_64__)

constexpr char kNodeArchitecture[] = "amd64";

bool Has(unsigned value, std::initializer_list<int> bits) {
  for (const int bit : bits) {
    if ((value & (1u << bit)) == 0) return false;
  }
  return true;
}

// Which register states the kernel saves.
unsigned SavedStates() {
  unsigned low = 0;
  unsigned high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

// The levels and their CPUID bits are those of the x86-64 psABI, "Micro-
// architecture levels"; the bits' places are in Intel's manual, "CPUID".
std::string NodeVariant() {
  unsigned a = 0, b = 0, c1 = 0, d = 0, b7 = 0, c7 = 0, ce = 0;
  if (__get_cpuid(1, &a, &b, &c1, &d) == 0 ||
      __get_cpuid(0x80000001, &a, &b, &ce, &d) == 0) {
    return "v1";
  }
  // SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT; LAHF.
  if (!Has(c1, {0, 9, 13, 19, 20, 23}) || !Has(ce, {0})) return "v1";
  if (__get_cpuid_count(7, 0, &a, &b7, &c7, &d) == 0) return "v2";
  // FMA, MOVBE, OSXSAVE, AVX, F16C; BMI1, AVX2, BMI2; LZCNT.
  if (!Has(c1, {12, 22, 27, 28, 29}) || !Has(b7, {3, 5, 8}) || !Has(ce, {5})) {
    return "v2";
  }
  const unsigned states = SavedStates();
  if (!Has(states, {1, 2})) return "v2";
  // AVX512F, DQ, CD, BW, VL.
  if (!Has(b7, {16, 17, 28, 30, 31}) || !Has(states, {5, 6, 7})) return "v3";
  return "v4";
}

#elif defined(__aarch64__)

constexpr char kNodeArchitecture[] = "arm64";

// Bits of AT_HWCAP and AT_HWCAP2: Linux, Documentation/arch/arm64/elf_hwcaps.
std::string NodeVariant() {
  constexpr unsigned long kCrc32 = 1ul << 7;
  constexpr unsigned long kAtomics = 1ul << 8;
  constexpr unsigned long kAsimdRdm = 1ul << 12;
  constexpr unsigned long kDcPop = 1ul << 16;
  constexpr unsigned long kSve2 = 1ul << 1;  // of the second word
  const unsigned long first = getauxval(AT_HWCAP);
  if ((getauxval(AT_HWCAP2) & kSve2) != 0) return "v9";
  constexpr unsigned long kLevel1 = kCrc32 | kAtomics | kAsimdRdm;
  if ((first & kLevel1) != kLevel1) return "v8";
  return (first & kDcPop) != 0 ? "v8.2" : "v8.1";
}

#else
#error "name this architecture as GOARCH does"
#endif

// Levels that can be compared, of one architecture: "v8.2" is 82.
std::optional<int> Level(const Platform& platform) {
  absl::string_view text = platform.variant;
  if (text.empty()) {
    if (platform.architecture == "amd64") return 10;
    if (platform.architecture == "arm64") return 80;
    return platform.architecture == "arm" ? 70 : 0;
  }
  if (!absl::ConsumePrefix(&text, "v")) return std::nullopt;
  int major = 0;
  int minor = 0;
  const size_t dot = text.find('.');
  if (!absl::SimpleAtoi(text.substr(0, dot), &major) || major < 1 ||
      major > 99) {
    return std::nullopt;
  }
  if (dot != absl::string_view::npos &&
      (!absl::SimpleAtoi(text.substr(dot + 1), &minor) || minor < 0 ||
       minor > 9)) {
    return std::nullopt;
  }
  return major * 10 + minor;
}

}  // namespace

const Platform& NodePlatform() {
  static const auto& platform =
      *new Platform{"linux", kNodeArchitecture, NodeVariant()};
  return platform;
}

Platform Normalised(const Platform& platform) {
  Platform result;
  const auto clean = [](const std::string& text) {
    return absl::AsciiStrToLower(absl::StripAsciiWhitespace(text));
  };
  result.os = clean(platform.os);
  result.architecture = clean(platform.architecture);
  result.variant = clean(platform.variant);
  std::string& arch = result.architecture;
  if (arch == "x86_64" || arch == "x86-64") arch = "amd64";
  if (arch == "aarch64") arch = "arm64";
  if (arch == "i386" || arch == "i686" || arch == "x86") arch = "386";
  if (arch == "armhf") {
    arch = "arm";
    result.variant = "v7";
  }
  if (arch == "armel") {
    arch = "arm";
    result.variant = "v6";
  }
  if (!result.variant.empty() && absl::ascii_isdigit(result.variant[0])) {
    result.variant = absl::StrCat("v", result.variant);
  }
  return result;
}

std::optional<int> PlatformRank(const Platform& platform,
                                const Platform& node) {
  const Platform theirs = Normalised(platform);
  const Platform ours = Normalised(node);
  if (!theirs.os.empty() && theirs.os != ours.os) return std::nullopt;
  if (!theirs.architecture.empty() &&
      theirs.architecture != ours.architecture) {
    return std::nullopt;
  }
  Platform wanted = theirs;
  wanted.architecture = ours.architecture;
  const auto wanted_level = Level(wanted);
  const auto our_level = Level(ours);
  if (!wanted_level.has_value() || !our_level.has_value() ||
      *wanted_level > *our_level) {
    return std::nullopt;
  }
  return wanted_level;
}

std::string PlatformName(const Platform& platform) {
  const auto shown = [](const std::string& text) {
    return text.empty() ? std::string("?") : Printable(text.substr(0, 32));
  };
  std::string name =
      absl::StrCat(shown(platform.os), "/", shown(platform.architecture));
  if (!platform.variant.empty()) {
    absl::StrAppend(&name, "/", Printable(platform.variant.substr(0, 32)));
  }
  return name;
}

}  // namespace warren::image
