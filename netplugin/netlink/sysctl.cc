#include "netplugin/netlink/sysctl.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

constexpr char kIpv6Directory[] = "/proc/sys/net/ipv6";

bool IsMissingIpv6(const Sysctl& setting, const absl::Status& status) {
  return base::GetErrno(status) == ENOENT &&
         absl::StartsWith(setting.path, "net/ipv6/") &&
         access(kIpv6Directory, F_OK) != 0;
}

}  // namespace

absl::StatusOr<std::string> ReadSysctl(const std::string& path) {
  ASSIGN_OR_RETURN_IN(
      const std::string content,
      base::ReadFileAt(AT_FDCWD, absl::StrCat("/proc/sys/", path), 4096),
      absl::StrCat("reading sysctl ", path));
  return std::string(absl::StripSuffix(content, "\n"));
}

absl::Status WriteSysctls(const std::vector<Sysctl>& settings) {
  for (const Sysctl& setting : settings) {
    const absl::Status status = base::WriteControlAt(
        AT_FDCWD, absl::StrCat("/proc/sys/", setting.path), setting.value);
    if (status.ok() || IsMissingIpv6(setting, status)) continue;
    return base::Annotate(status, absl::StrCat("setting sysctl ", setting.path,
                                               " to ", setting.value));
  }
  return absl::OkStatus();
}

}  // namespace warren::netplugin
