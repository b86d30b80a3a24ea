#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "runtime/shim/exec_session.h"
#include "runtime/shim/spawn.h"

namespace warren::shim {
namespace {

struct Member {
  pid_t pid;
  pid_t parent;
  uint64_t start_time;
  bool ours;
};

// What a failed look proves: the process, or the cgroup of the list, is gone.
bool IsGone(int error) {
  return error == ENOENT || error == ESRCH || error == ENODEV;
}

// What cgroup.procs says now; false when it cannot be read. v1 keeps the list
// of the first read for as long as that descriptor is read again within a
// second, and cuts it when a process joins at that moment: only a descriptor
// opened anew shows what is there.
bool ListMembers(int proc_fd, int cgroup_procs_fd, std::string* text) {
  char path[32];
  snprintf(path, sizeof(path), "self/fd/%d", cgroup_procs_fd);
  const base::UniqueFd fd(openat(proc_fd, path, O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return IsGone(errno);
  char buffer[4096];
  for (;;) {
    const ssize_t n = read(fd.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return IsGone(errno);
    if (n == 0) return true;
    text->append(buffer, static_cast<size_t>(n));
  }
}

// False when that is not known, either.
bool IsZombie(int proc_fd, pid_t pid) {
  char path[32];
  snprintf(path, sizeof(path), "%d/stat", pid);
  const base::UniqueFd fd(openat(proc_fd, path, O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return IsGone(errno);
  char text[512];
  const ssize_t n = read(fd.get(), text, sizeof(text) - 1);
  if (n <= 0) return n < 0 && IsGone(errno);
  text[n] = '\0';
  const char* at = strrchr(text, ')');
  return at != nullptr && (at[1] == '\0' || at[2] == 'Z' || at[2] == 'X');
}

// False when it is proven that the process has ended. A number may have a new
// owner by now: the pidfd is opened first, then the start time is read again.
bool SignalMember(int proc_fd, const Member& member, int signal) {
  const base::UniqueFd pidfd(
      static_cast<int>(syscall(SYS_pidfd_open, member.pid, 0)));
  if (!pidfd.valid()) return !IsGone(errno);
  const uint64_t start_time = ReadStat(proc_fd, member.pid);
  if (start_time == 0) return !IsGone(errno);
  if (start_time != member.start_time) return false;
  if (IsZombie(proc_fd, member.pid)) return false;
  syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0);
  return true;
}

// Children of members are members, also when they left the session. Each
// process is looked at once: a fork bomb has tens of thousands.
void AddDescendants(std::vector<Member>* members) {
  const auto by_parent = [](const Member& a, const Member& b) {
    return a.parent < b.parent;
  };
  std::sort(members->begin(), members->end(), by_parent);
  std::vector<pid_t> unseen;  // members whose children were not looked at
  for (const Member& m : *members) {
    if (m.ours) unseen.push_back(m.pid);
  }
  while (!unseen.empty()) {
    const Member parent = {0, unseen.back(), 0, false};
    unseen.pop_back();
    const auto [first, last] =
        std::equal_range(members->begin(), members->end(), parent, by_parent);
    for (auto child = first; child != last; ++child) {
      if (std::exchange(child->ours, true)) continue;
      unseen.push_back(child->pid);
    }
  }
}

}  // namespace

int SignalSession(int proc_fd, int cgroup_procs_fd, pid_t session, int signal) {
  std::vector<Member> members;
  std::string list;
  int alive = 0;
  if (!ListMembers(proc_fd, cgroup_procs_fd, &list)) ++alive;
  const char* at = list.c_str();
  while (*at != '\0') {
    char* end;
    const auto pid = static_cast<pid_t>(strtol(at, &end, 10));
    if (end == at) break;
    at = end + strspn(end, "\n");
    Member member = {pid, 0, 0, false};
    pid_t its_session = 0;
    member.start_time = ReadStat(proc_fd, pid, &its_session, &member.parent);
    member.ours = pid == session || its_session == session;
    if (member.start_time != 0) {
      members.push_back(member);
    } else if (!IsGone(errno)) {
      ++alive;
    }
  }
  AddDescendants(&members);
  for (const Member& member : members) {
    if (member.ours && SignalMember(proc_fd, member, signal)) ++alive;
  }
  return alive;
}

}  // namespace warren::shim
