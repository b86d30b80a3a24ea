#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "runtime/seccomp/compiler.h"
#include "runtime/seccomp/profile_json.h"

// A profile that is taken makes a program of whole instructions, or says why
// not.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace warren::seccomp;
  static const Host host = *ThisHost();
  const auto profile = ParseProfile(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!profile.ok()) {
    if (!absl::IsInvalidArgument(profile.status())) std::abort();
    return 0;
  }
  const auto program = Compile(*profile, 0, host);
  if (!program.ok()) return 0;
  const size_t bytes = program->instructions.size();
  if (bytes == 0 || bytes % sizeof(sock_filter) != 0) std::abort();
  return 0;
}
