#include "tests/support/ledger_probes.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>
#include <absl/synchronization/notification.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <thread>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/unique_fd.h"
#include "tests/support/command.h"
#include "tests/support/host_file.h"
#include "tests/support/node_namespace.h"

namespace warren::test {
namespace {

std::string Read(const std::string& path) {
  return base::ReadFileAt(AT_FDCWD, path, 16 << 20).value_or("");
}

std::string ReadLink(const std::string& path) {
  char target[512];
  const ssize_t n = readlink(path.c_str(), target, sizeof(target));
  return n > 0 ? std::string(target, n) : "";
}

std::vector<std::string> Pids() {
  std::vector<std::string> pids;
  for (std::string& name :
       base::ListDir(AT_FDCWD, "/proc").value_or(std::vector<std::string>{})) {
    if (name[0] >= '0' && name[0] <= '9') pids.push_back(std::move(name));
  }
  return pids;
}

std::set<std::string> CommandLines(const std::vector<std::string>& args) {
  std::set<std::string> lines;
  const CommandResult result = RunCommand(args);
  if (result.exit_code != 0) lines.insert("error: " + result.err);
  for (const auto& line :
       absl::StrSplit(result.out, '\n', absl::SkipWhitespace())) {
    lines.insert(std::string(absl::StripAsciiWhitespace(line)));
  }
  return lines;
}

// Of "/proc/<pid>/fd" links, what kind of thing each is.
std::string KindOf(const std::string& target) {
  for (const char* kind : {"socket", "pipe", "net", "mnt", "pid", "user", "ipc",
                           "uts", "cgroup", "time"}) {
    if (absl::StartsWith(target, absl::StrCat(kind, ":["))) return kind;
  }
  return target;
}

}  // namespace

std::set<std::string> Processes(pid_t except) {
  std::set<std::string> lines;
  for (const std::string& pid : Pids()) {
    if (pid == "1" || pid == std::to_string(getpid()) ||
        pid == std::to_string(except)) {
      continue;
    }
    const std::string stat = Read(absl::StrCat("/proc/", pid, "/stat"));
    const size_t paren = stat.rfind(')');
    if (paren == std::string::npos) continue;  // gone
    const std::string command =
        absl::StrReplaceAll(Read(absl::StrCat("/proc/", pid, "/cmdline")),
                            {{absl::string_view("\0", 1), " "}});
    lines.insert(absl::StrCat("pid ", stat.substr(0, paren + 1), " state ",
                              stat.substr(paren + 2, 1), " parent ",
                              ProcessStatus(std::atoi(pid.c_str()), "PPid"),
                              " ", command));
  }
  return lines;
}

std::set<std::string> NetworkNamespaces() {
  std::set<std::string> inodes;
  for (const std::string& pid : Pids()) {
    const std::string base = absl::StrCat("/proc/", pid);
    inodes.insert(ReadLink(base + "/ns/net"));
    for (const std::string& fd : base::ListDir(AT_FDCWD, base + "/fd")
                                     .value_or(std::vector<std::string>{})) {
      const std::string target = ReadLink(absl::StrCat(base, "/fd/", fd));
      if (absl::StartsWith(target, "net:[")) inodes.insert(target);
    }
    for (const auto& line :
         absl::StrSplit(Read(base + "/mountinfo"), '\n', absl::SkipEmpty())) {
      const std::vector<std::string> words = absl::StrSplit(line, ' ');
      if (words.size() > 3 && absl::StartsWith(words[3], "net:[")) {
        inodes.insert(words[3]);
      }
    }
  }
  inodes.erase("");
  return inodes;
}

std::set<std::string> Links() {
  std::set<std::string> lines;
  // "3: warren0: <…>…": name only. Flags and carrier of a bridge follow its
  // ports and are no leak by themselves.
  for (const std::string& line : CommandLines({"ip", "-o", "link", "show"})) {
    const std::vector<std::string> words = absl::StrSplit(line, ": ");
    lines.insert(words.size() > 1 ? words[1] : line);
  }
  return lines;
}

std::set<std::string> Addresses() {
  std::set<std::string> lines;
  for (const std::string& line : CommandLines({"ip", "-br", "addr", "show"})) {
    const std::vector<std::string> words =
        absl::StrSplit(line, ' ', absl::SkipEmpty());
    for (size_t i = 2; i < words.size(); ++i) {
      if (absl::StartsWith(words[i], "fe80:")) continue;  // comes with carrier
      lines.insert(absl::StrCat(words[0], " ", words[i]));
    }
  }
  return lines;
}

std::set<std::string> Routes() {
  std::set<std::string> routes;
  for (const char* family : {"-4", "-6"}) {
    for (const std::string& line :
         CommandLines({"ip", family, "route", "show", "table", "all"})) {
      // Link-local and multicast routes come and go with carrier.
      if (absl::StrContains(line, "fe80:") ||
          absl::StartsWith(line, "multicast")) {
        continue;
      }
      routes.insert(absl::StrReplaceAll(line, {{" linkdown", ""}}));
    }
  }
  return routes;
}

std::set<std::string> NftRules() {
  return CommandLines({"nft", "-s", "-n", "list", "ruleset"});
}

std::set<std::string> Mounts(pid_t tid) {
  std::set<std::string> lines;
  const std::string text = Read(absl::StrCat("/proc/", tid, "/mountinfo"));
  for (const auto& line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> halves = absl::StrSplit(line, " - ");
    const std::vector<std::string> left = absl::StrSplit(halves[0], ' ');
    // A namespace that is pinned anew after a reboot has another number.
    const std::string source =
        absl::StartsWith(halves.back(), "nsfs") ? "namespace" : left[3];
    lines.insert(absl::StrCat(left[4], " of ", source, " ", halves.back()));
  }
  return lines;
}

std::set<std::string> MountsBehind(const std::string& nsfs_file) {
  base::UniqueFd fd(open(nsfs_file.c_str(), O_RDONLY | O_CLOEXEC));
  if (nsfs_file.empty() || !fd.valid()) return {};
  // A thread enters the namespace; its table is read from here, where /proc
  // is.
  absl::Notification entered;
  absl::Notification seen;
  pid_t tid = 0;
  std::thread visitor([&] {
    if (unshare(CLONE_FS) == 0 && setns(fd.get(), CLONE_NEWNS) == 0) {
      tid = gettid();
    }
    entered.Notify();
    seen.WaitForNotification();
  });
  entered.WaitForNotification();
  std::set<std::string> lines;
  if (tid != 0) lines = Mounts(tid);
  seen.Notify();
  visitor.join();
  return lines;
}

std::set<std::string> Cgroups() {
  std::set<std::string> paths;
  for (const std::string& mount : CgroupMounts()) {
    const std::string root = mount + CgroupParent();
    std::vector<std::string> queue = {root};
    while (!queue.empty()) {
      const std::string directory = queue.back();
      queue.pop_back();
      for (const std::string& name :
           base::ListDir(AT_FDCWD, directory)
               .value_or(std::vector<std::string>{})) {
        const std::string path = absl::StrCat(directory, "/", name);
        struct stat st;
        if (lstat(path.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) continue;
        paths.insert(path);
        queue.push_back(path);
      }
    }
  }
  return paths;
}

std::set<std::string> Files(const std::string& directory,
                            const std::set<std::string>& ignored) {
  std::set<std::string> paths;
  std::vector<std::string> queue = {""};
  while (!queue.empty()) {
    const std::string at = queue.back();
    queue.pop_back();
    for (const std::string& name : base::ListDir(AT_FDCWD, directory + at)
                                       .value_or(std::vector<std::string>{})) {
      if (at.empty() && ignored.contains(name)) continue;
      const std::string path = absl::StrCat(at, "/", name);
      paths.insert(directory + path);
      struct stat st;
      if (lstat((directory + path).c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
        queue.push_back(path);
      }
    }
  }
  return paths;
}

std::set<std::string> SysvIpc() {
  std::set<std::string> lines;
  for (const char* kind : {"msg", "sem", "shm"}) {
    const std::string text = Read(absl::StrCat("/proc/sysvipc/", kind));
    const std::vector<std::string> rows =
        absl::StrSplit(text, '\n', absl::SkipWhitespace());
    for (size_t i = 1; i < rows.size(); ++i) {
      lines.insert(absl::StrCat(kind, " ", rows[i]));
    }
  }
  return lines;
}

std::set<std::string> Descriptors(pid_t pid) {
  std::map<std::string, int> counts;
  const std::string directory = absl::StrCat("/proc/", pid, "/fd");
  for (const std::string& fd : base::ListDir(AT_FDCWD, directory)
                                   .value_or(std::vector<std::string>{})) {
    const std::string target = ReadLink(absl::StrCat(directory, "/", fd));
    if (!target.empty()) ++counts[KindOf(target)];
  }
  std::set<std::string> lines;
  for (const auto& [kind, count] : counts) {
    lines.insert(absl::StrCat(kind, " x ", count));
  }
  return lines;
}

}  // namespace warren::test
