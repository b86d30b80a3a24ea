#include "tests/support/host_file.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "runtime/base/file.h"

namespace warren::test {

std::string ReadHostFile(const std::string& path) {
  return base::ReadFileAt(AT_FDCWD, path, 64 << 20).value_or("");
}

bool WriteHostFile(const std::string& path, const std::string& data,
                   mode_t mode) {
  const base::UniqueFd fd(
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  return fd.valid() && base::WriteFd(fd.get(), data).ok();
}

bool HostFileExists(const std::string& path) {
  struct stat st;
  return lstat(path.c_str(), &st) == 0;
}

uint64_t NamespaceInode(pid_t pid, const std::string& kind) {
  struct stat st;
  const std::string path = absl::StrCat("/proc/", pid, "/ns/", kind);
  return stat(path.c_str(), &st) == 0 ? st.st_ino : 0;
}

std::string ProcessStatus(pid_t pid, const std::string& key) {
  const std::string text = ReadHostFile(absl::StrCat("/proc/", pid, "/status"));
  for (const auto& line : absl::StrSplit(text, '\n')) {
    if (!absl::StartsWith(line, key + ":")) continue;
    const std::string value(line.substr(key.size() + 1));
    return std::string(
        absl::StripAsciiWhitespace(absl::StrReplaceAll(value, {{"\t", " "}})));
  }
  return "";
}

}  // namespace warren::test
