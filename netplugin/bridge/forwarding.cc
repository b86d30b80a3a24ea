#include "netplugin/bridge/forwarding.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace warren::netplugin {
namespace {

constexpr char kRecordFile[] = "forwarding";
constexpr char kRecordMagic[] = "warren-forwarding 1";

std::string EncodeRecord(const std::string& boot,
                         const std::vector<Sysctl>& before) {
  std::string text = absl::StrCat(kRecordMagic, "\nboot ", boot, "\n");
  for (const Sysctl& setting : before) {
    absl::StrAppend(&text, setting.path, " ", setting.value, "\n");
  }
  return text;
}

// Empty for what is no record of this boot.
std::vector<Sysctl> DecodeRecord(const std::string& text,
                                 const std::string& boot) {
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  if (lines.size() != 5 || lines[0] != kRecordMagic ||
      lines[1] != "boot " + boot) {
    return {};
  }
  std::vector<Sysctl> before;
  for (const char* path : {kForwarding4, kForwarding6}) {
    const std::vector<std::string> words =
        absl::StrSplit(lines[2 + before.size()], ' ');
    if (words.size() != 2 || words[0] != path) return {};
    before.push_back({path, words[1]});
  }
  return before;
}

absl::StatusOr<std::string> ValueOf(const char* path,
                                    const std::vector<Sysctl>& known) {
  for (const Sysctl& old : known) {
    if (old.path == path) return old.value;
  }
  const absl::StatusOr<std::string> now = ReadSysctl(path);
  // A kernel without IPv6 forwards none of it.
  if (base::GetErrno(now.status()) == ENOENT) return std::string("0");
  return now;
}

}  // namespace

absl::StatusOr<std::vector<Sysctl>> ForwardingBefore(
    const std::string& run_dir, const std::vector<Sysctl>& known) {
  std::string boot;
  if (!run_dir.empty()) {
    ASSIGN_OR_RETURN(boot, ReadSysctl("kernel/random/boot_id"));
    const auto text = base::ReadRegularFileAt(
        AT_FDCWD, absl::StrCat(run_dir, "/", kRecordFile));
    if (text.ok()) {
      std::vector<Sysctl> before = DecodeRecord(*text, boot);
      if (!before.empty()) return before;
    } else if (!base::ProvesAbsence(text.status()) &&
               !base::IsDamage(text.status())) {
      // What it is now may be ours, and must not become what was before.
      return base::Annotate(text.status(), "what the node forwarded before");
    }
  }
  std::vector<Sysctl> before;
  for (const char* path : {kForwarding4, kForwarding6}) {
    ASSIGN_OR_RETURN(const std::string value, ValueOf(path, known));
    before.push_back({path, value});
  }
  if (run_dir.empty()) return before;
  ASSIGN_OR_RETURN(const base::UniqueFd directory,
                   base::MakeDirs(AT_FDCWD, run_dir, 0700));
  RETURN_IF_ERROR_IN(base::WriteFileAtomic(directory.get(), kRecordFile,
                                           EncodeRecord(boot, before), 0600),
                     "recording what the node forwards");
  return before;
}

absl::Status ForgetForwarding(const std::string& run_dir) {
  if (run_dir.empty()) return absl::OkStatus();
  const std::string path = absl::StrCat(run_dir, "/", kRecordFile);
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return base::ErrnoError(errno, absl::StrCat("unlink ", path));
}

bool WasOff(const std::vector<Sysctl>& before, const std::string& path) {
  return std::any_of(before.begin(), before.end(), [&](const Sysctl& setting) {
    return setting.path == path && setting.value == "0";
  });
}

}  // namespace warren::netplugin
