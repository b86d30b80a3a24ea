#include "tests/support/require.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <unistd.h>

#include "runtime/base/file.h"

namespace warren::test {

std::string MissingRoot() { return geteuid() == 0 ? "" : "needs root"; }

std::string MissingNamespace(const std::string& kind) {
  const std::string path = "/proc/self/ns/" + kind;
  return access(path.c_str(), F_OK) == 0
             ? ""
             : "the kernel has no " + kind + " namespaces";
}

std::string MissingCapability(int number) {
  const auto text = base::ReadFileAt(AT_FDCWD, "/proc/self/status");
  if (!text.ok()) return "cannot read /proc/self/status";
  for (const auto& line : absl::StrSplit(*text, '\n')) {
    if (line.substr(0, 7) != "CapEff:") continue;
    uint64_t mask = 0;
    const std::string digits(line.substr(line.find_last_of(" \t") + 1));
    mask = std::stoull(digits, nullptr, 16);
    if ((mask >> number) & 1) return "";
  }
  return "needs capability number " + std::to_string(number);
}

std::string MissingProgram(const std::string& name) {
  for (const char* directory : {"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}) {
    if (access((directory + name).c_str(), X_OK) == 0) return "";
  }
  return "needs the program " + name;
}

}  // namespace warren::test
