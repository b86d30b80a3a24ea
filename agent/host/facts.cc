#include "agent/host/facts.h"

#include <absl/strings/ascii.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"

namespace warren::agent {

HostFacts ReadHostFacts(const base::Clock& clock, const NodePolicy& policy) {
  HostFacts facts;
  char name[HOST_NAME_MAX + 1] = {};
  // Cannot fail with a buffer of that size (gethostname(2)).
  if (gethostname(name, sizeof(name)) == 0) facts.hostname = name;
  facts.resolv_conf =
      base::ReadRegularFileAt(AT_FDCWD, "/etc/resolv.conf").value_or("");
  facts.hosts = base::ReadRegularFileAt(AT_FDCWD, "/etc/hosts")
                    .value_or("127.0.0.1 localhost\n::1 localhost\n");
  facts.monotonic_now_ns = clock.MonotonicNow();
  facts.modules = ReadSecurityModules();
  facts.policy = policy;
  return facts;
}

absl::StatusOr<std::string> ReadBootId() {
  ASSIGN_OR_RETURN(
      const std::string text,
      base::ReadFileAt(AT_FDCWD, "/proc/sys/kernel/random/boot_id"));
  return std::string(absl::StripAsciiWhitespace(text));
}

}  // namespace warren::agent
