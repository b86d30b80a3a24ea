#include "runtime/identity/privileges.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <fcntl.h>
#include <linux/capability.h>

#include <algorithm>

#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::runtime {
namespace {

constexpr uint64_t Bit(int capability) { return uint64_t{1} << capability; }

struct Needed {
  int capability;
  const char* sentence;
};
// Without these the daemon starts, but does less. CAP_SYS_ADMIN and
// CAP_NET_ADMIN are not here: without them it does not start.
constexpr Needed kOptional[] = {
    {CAP_CHOWN, "CAP_CHOWN is missing: no pod can have a user namespace"},
    {CAP_DAC_OVERRIDE,
     "CAP_DAC_OVERRIDE is missing: root file systems cannot be made"},
    {CAP_FOWNER, "CAP_FOWNER is missing: files of others cannot be prepared"},
    {CAP_KILL, "CAP_KILL is missing: processes of other users do not stop"},
    {CAP_SETGID, "CAP_SETGID is missing: containers do not start"},
    {CAP_SETUID, "CAP_SETUID is missing: no user but root, no user namespaces"},
    {CAP_SETPCAP, "CAP_SETPCAP is missing: containers do not start"},
    {CAP_SYS_RESOURCE,
     "CAP_SYS_RESOURCE is missing: no oom_score_adj below the daemon's own, "
     "no hard limit above it"},
    {CAP_MKNOD, "CAP_MKNOD is missing: containers get no device nodes"},
    {CAP_SYS_PTRACE,
     "CAP_SYS_PTRACE is missing: processes of other users are not inspected"},
};

bool ReadMask(absl::string_view status, absl::string_view name,
              uint64_t* mask) {
  for (absl::string_view line : absl::StrSplit(status, '\n')) {
    if (!absl::ConsumePrefix(&line, name)) continue;
    const std::string digits(absl::StripAsciiWhitespace(line));
    return absl::SimpleHexAtoi(digits, mask);
  }
  return false;
}

}  // namespace

absl::StatusOr<Privileges> Privileges::Read() {
  ASSIGN_OR_RETURN(const std::string status,
                   base::ReadFileAt(AT_FDCWD, "/proc/self/status"));
  ASSIGN_OR_RETURN(const std::string score,
                   base::ReadFileAt(AT_FDCWD, "/proc/self/oom_score_adj"));
  return Parse(status, score);
}

absl::StatusOr<Privileges> Privileges::Parse(absl::string_view status,
                                             absl::string_view oom_score_adj) {
  Privileges p;
  if (!ReadMask(status, "CapEff:", &p.effective_) ||
      !ReadMask(status, "CapBnd:", &p.bounding_) ||
      !absl::SimpleAtoi(oom_score_adj, &p.oom_score_adj_)) {
    return absl::InternalError("/proc/self/status is malformed");
  }
  return p;
}

int32_t Privileges::ClampOomScoreAdj(int64_t wanted) const {
  const int32_t lowest =
      (effective_ & Bit(CAP_SYS_RESOURCE)) != 0 ? -1000 : oom_score_adj_;
  return static_cast<int32_t>(std::clamp<int64_t>(wanted, lowest, 1000));
}

uint64_t Privileges::ClampCapabilities(uint64_t wanted,
                                       bool user_namespace) const {
  if (!user_namespace) return wanted & effective_;
  // The bounding set lists all that the running kernel knows, up to its
  // highest bit.
  uint64_t known = bounding_;
  for (int shift = 1; shift < 64; shift *= 2) known |= known >> shift;
  return wanted & known;
}

std::vector<std::string> Privileges::Missing() const {
  std::vector<std::string> sentences;
  for (const Needed& needed : kOptional) {
    if ((effective_ & Bit(needed.capability)) == 0) {
      sentences.emplace_back(needed.sentence);
    }
  }
  return sentences;
}

}  // namespace warren::runtime
