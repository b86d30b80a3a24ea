#include "tests/bench/server_cost.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <set>

#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::bench {
namespace {

std::string Read(const std::string& path) {
  return base::ReadFileAt(AT_FDCWD, path, 4 << 20).value_or("");
}

std::string Proc(pid_t pid, const std::string& file) {
  return Read(absl::StrCat("/proc/", pid, "/", file));
}

std::string CommandLine(pid_t pid) {
  return absl::StrReplaceAll(Proc(pid, "cmdline"),
                             {{absl::string_view("\0", 1), " "}});
}

std::vector<std::string> List(const std::string& directory) {
  return base::ListDir(AT_FDCWD, directory)
      .value_or(std::vector<std::string>{});
}

// Fields of /proc/<pid>/stat after the command, [0] = state; proc(5).
std::vector<std::string> Stat(pid_t pid) {
  const std::string text = Proc(pid, "stat");
  const size_t paren = text.rfind(')');
  if (paren == std::string::npos) return {};
  return absl::StrSplit(text.substr(paren + 2), ' ');
}

// Where cgroups can be listed and CPU time is accounted: v1's cpuacct, else
// the v2 tree.
std::string CgroupDirectory(const std::string& cgroup) {
  for (const char* mount : {"/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup"}) {
    struct stat st;
    if (stat(absl::StrCat(mount, cgroup).c_str(), &st) == 0) {
      return mount + cgroup;
    }
  }
  return "";
}

void CollectPids(const std::string& directory, std::set<pid_t>* pids) {
  for (const auto& line : absl::StrSplit(Read(directory + "/cgroup.procs"),
                                         '\n', absl::SkipEmpty())) {
    int pid = 0;
    if (absl::SimpleAtoi(line, &pid)) pids->insert(pid);
  }
  for (const std::string& name : List(directory)) {
    struct stat st;
    const std::string child = absl::StrCat(directory, "/", name);
    if (lstat(child.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
      CollectPids(child, pids);
    }
  }
}

// The daemon, its descendants, and shims that init has adopted.
void CollectTree(pid_t daemon, std::set<pid_t>* tree) {
  std::map<pid_t, pid_t> parents;
  tree->insert(daemon);
  for (const std::string& name : List("/proc")) {
    int pid = 0;
    if (!absl::SimpleAtoi(name, &pid)) continue;
    const std::vector<std::string> fields = Stat(pid);
    int parent = 0;
    if (fields.size() < 2 || !absl::SimpleAtoi(fields[1], &parent)) continue;
    parents[pid] = parent;
    if (absl::StrContains(CommandLine(pid), "shim")) tree->insert(pid);
  }
  for (bool grown = true; grown;) {
    grown = false;
    for (const auto& [pid, parent] : parents) {
      if (tree->contains(parent)) grown |= tree->insert(pid).second;
    }
  }
}

}  // namespace

absl::StatusOr<ServerCost> ServerCost::Of(const std::string& socket,
                                          const std::string& cgroup) {
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError("socket path too long");
  }
  std::memcpy(address.sun_path, socket.c_str(), socket.size());
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
              sizeof(address)) != 0 ||
      getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return base::ErrnoError(errno, "connect to " + socket);
  }
  if (!cgroup.empty() && CgroupDirectory(cgroup).empty()) {
    return absl::InvalidArgumentError("no cgroup " + cgroup);
  }
  ServerCost cost;
  cost.daemon_ = peer.pid;
  cost.command_ = CommandLine(peer.pid);
  cost.cgroup_ = cgroup;
  return cost;
}

std::vector<pid_t> ServerCost::Pids() const {
  std::set<pid_t> pids;
  if (cgroup_.empty()) {
    CollectTree(daemon_, &pids);
  } else {
    CollectPids(CgroupDirectory(cgroup_), &pids);
  }
  return {pids.begin(), pids.end()};
}

double ServerCost::CpuSeconds() const {
  if (!cgroup_.empty()) {
    const std::string directory = CgroupDirectory(cgroup_);
    double value = 0;
    if (absl::SimpleAtod(
            absl::StripAsciiWhitespace(Read(directory + "/cpuacct.usage")),
            &value)) {
      return value / 1e9;
    }
    const std::string stat = Read(directory + "/cpu.stat");
    const size_t at = stat.find("usage_usec ");
    if (at != std::string::npos &&
        absl::SimpleAtod(stat.substr(at + 11, stat.find('\n', at) - at - 11),
                         &value)) {
      return value / 1e6;
    }
  }
  double ticks = 0;
  for (const pid_t pid : Pids()) {
    const std::vector<std::string> fields = Stat(pid);
    for (size_t i = 11; i < 15 && i < fields.size(); ++i) {
      double value = 0;  // utime, stime, cutime, cstime
      if (absl::SimpleAtod(fields[i], &value)) ticks += value;
    }
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double ServerCost::PssKib(const std::string& workload) const {
  double sum = 0;
  for (const pid_t pid : Pids()) {
    if (!workload.empty() && absl::StrContains(CommandLine(pid), workload)) {
      continue;
    }
    const std::string rollup = Proc(pid, "smaps_rollup");
    const size_t at = rollup.find("\nPss:");
    if (at != std::string::npos) sum += std::atof(rollup.c_str() + at + 5);
  }
  return sum;
}

std::string ServerCost::Describe() const {
  return absl::StrCat("pid ", daemon_, " (", command_, ")",
                      cgroup_.empty() ? "" : " in cgroup ", cgroup_);
}

}  // namespace warren::bench
