#include "runtime/cgroup/tree.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <absl/time/clock.h>
#include <absl/types/span.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/process.h"
#include "runtime/base/status.h"
#include "runtime/base/tree_cursor.h"

namespace warren::runtime {
namespace {

// Descriptors of processes at a time. A container can have more processes than
// this program may have descriptors.
constexpr size_t kKillBatch = 256;
// A host with hundreds of thousands of processes in one cgroup still fits.
constexpr size_t kProcsLimit = 4 << 20;
// A parent can vanish between its mkdir and ours as often as other pods end.
constexpr int kMakeAttempts = 20;
// A directory can vanish while a walk is in it as often.
constexpr int kWalkAttempts = 20;
// A container that makes cgroups as fast as they are walked ends no walk.
constexpr absl::Duration kWalkPatience = absl::Seconds(60);

// "/a/b" as openat and mkdirat want it.
std::string Relative(const std::string& path) {
  const size_t start = path.find_first_not_of('/');
  return start == std::string::npos ? "." : path.substr(start);
}

absl::StatusOr<base::UniqueFd> OpenDirectory(int at, const std::string& name) {
  return base::OpenAt(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

// Those of the cgroup directory/name.
absl::StatusOr<std::vector<pid_t>> ReadProcesses(int directory,
                                                 const std::string& name) {
  std::vector<pid_t> pids;
  auto text = base::ReadFileAt(directory, absl::StrCat(name, "/cgroup.procs"),
                               kProcsLimit);
  if (!text.ok()) {
    // ENODEV: the cgroup was removed while its directory is still open.
    const int error = base::GetErrno(text.status());
    if (error == ENOENT || error == ENODEV) return pids;
    return text.status();
  }
  for (absl::string_view line :
       absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    pid_t pid = 0;
    if (absl::SimpleAtoi(line, &pid) && pid > 0) pids.push_back(pid);
  }
  return pids;
}

// Whether directory/name is a cgroup, and may have others in it: a file system
// that counts the links of a directory shows two for one without any.
struct CgroupLook {
  bool is_cgroup = false;
  bool may_have_more = false;
};
absl::StatusOr<CgroupLook> LookAt(int directory,
                                  const base::TreeCursor::Entry& entry) {
  if (entry.type != DT_DIR && entry.type != DT_UNKNOWN) return CgroupLook();
  struct stat st;
  if (fstatat(directory, entry.name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (base::ProvesAbsence(errno)) return CgroupLook();
    return base::ErrnoError(errno, entry.name);
  }
  return CgroupLook{S_ISDIR(st.st_mode), st.st_nlink != 2};
}

absl::Status RemoveBelow(base::UniqueFd top, const base::Deadline& deadline,
                         uint64_t* removed) {
  ASSIGN_OR_RETURN(
      base::TreeCursor cursor,
      base::TreeCursor::Make(std::move(top), base::TreeCursor::Kind::kRemove,
                             base::TreeCursor::Place::kCgroups));
  uint64_t left = 0;  // inode of the cgroup that was left last
  for (;;) {
    ASSIGN_OR_RETURN(const base::TreeCursor::Entry* const entry, cursor.Next());
    if (entry == nullptr) {
      if (cursor.depth() == 0) return absl::OkStatus();
      left = cursor.inode();
      RETURN_IF_ERROR(cursor.Leave());
      continue;
    }
    const int directory = cursor.directory();
    ASSIGN_OR_RETURN(const CgroupLook look, LookAt(directory, *entry));
    if (!look.is_cgroup) continue;
    RETURN_IF_ERROR(deadline.Check());
    if (unlinkat(directory, entry->name, AT_REMOVEDIR) == 0)
      ++*removed;
    else if (errno != ENOENT) {
      const absl::Status busy =
          base::ErrnoError(errno, absl::StrCat("rmdir ", entry->name));
      if (!look.may_have_more) return busy;
      const absl::Status entered = cursor.Enter(entry->name);
      if (base::ProvesAbsence(entered)) continue;
      RETURN_IF_ERROR(entered);
      // All that was in it is gone, and it still cannot go.
      if (cursor.inode() == left) return busy;
    }
  }
}

int64_t NowNs() { return base::SystemClock().MonotonicNow(); }

int MillisecondsUntil(int64_t deadline_ns) {
  const int64_t left = deadline_ns - NowNs();
  return static_cast<int>(
      std::clamp<int64_t>((left + 999'999) / 1'000'000, 0, 1 << 30));
}

}  // namespace

absl::StatusOr<base::UniqueFd> CgroupTree::Make(
    const std::string& path,
    absl::FunctionRef<absl::Status(int, int)> prepare) const {
  const std::vector<std::string> parts =
      absl::StrSplit(Relative(path), '/', absl::SkipEmpty());
  absl::Status last;
  for (int attempt = 0; attempt < kMakeAttempts; ++attempt) {
    auto current = OpenDirectory(root(), ".");
    for (const std::string& part : parts) {
      if (!current.ok()) break;
      const int parent = current->get();
      auto next = MakeChild(parent, part);
      if (next.ok()) {
        absl::Status ready = prepare(parent, next->get());
        if (!ready.ok()) next = std::move(ready);
      }
      current = std::move(next);
    }
    if (current.ok()) return current;
    last = current.status();
    const int error = base::GetErrno(last);
    if (error != ENOENT && error != ENODEV) break;
  }
  return base::Annotate(last, path);
}

absl::StatusOr<base::UniqueFd> CgroupTree::MakeChild(int parent,
                                                     const std::string& name) {
  const bool made = mkdirat(parent, name.c_str(), 0755) == 0;
  if (!made && errno != EEXIST) {
    return base::ErrnoError(errno, absl::StrCat("mkdir ", name));
  }
  auto child = OpenDirectory(parent, name);
  // The daemon's umask must not hide a container's limits from it.
  if (made && child.ok() && fchmod(child->get(), 0755) != 0) {
    return base::ErrnoError(errno, absl::StrCat("chmod ", name));
  }
  return child;
}

absl::StatusOr<base::UniqueFd> CgroupTree::Open(const std::string& path) const {
  return OpenDirectory(root(), Relative(path));
}

bool CgroupTree::Exists(const std::string& path) const {
  return faccessat(root(), Relative(path).c_str(), F_OK, 0) == 0;
}

absl::Status CgroupTree::Walk(
    const std::string& path,
    absl::FunctionRef<absl::StatusOr<bool>(
        int directory, absl::string_view name, size_t depth)>
        visit) const {
  // Cgroups come and go while this looks.
  ASSIGN_OR_RETURN(std::optional<base::UniqueFd> top, base::ToLook(Open(path)));
  if (!top.has_value()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool enter, visit(top->get(), ".", 0));
  if (!enter) return absl::OkStatus();
  return base::WalkTree(
      *std::move(top), base::TreeCursor::Place::kCgroups,
      base::Deadline::After(kWalkPatience),
      [&](const base::TreeCursor& cursor,
          const base::TreeCursor::Entry& entry) -> absl::StatusOr<bool> {
        ASSIGN_OR_RETURN(const CgroupLook look,
                         LookAt(cursor.directory(), entry));
        if (!look.is_cgroup) return false;
        ASSIGN_OR_RETURN(const bool more, visit(cursor.directory(), entry.name,
                                                cursor.depth() + 1));
        return more && look.may_have_more;
      });
}

absl::StatusOr<std::vector<pid_t>> CgroupTree::Processes(
    const std::string& path) const {
  for (int attempt = 1;; ++attempt) {
    std::vector<pid_t> pids;
    const absl::Status walked =
        Walk(path,
             [&](int directory, absl::string_view name,
                 size_t /*depth*/) -> absl::StatusOr<bool> {
               ASSIGN_OR_RETURN(const std::vector<pid_t> own,
                                ReadProcesses(directory, std::string(name)));
               pids.insert(pids.end(), own.begin(), own.end());
               return true;
             });
    if (walked.ok()) return pids;
    if (!absl::IsAborted(walked) || attempt == kWalkAttempts) return walked;
  }
}

absl::StatusOr<std::optional<std::string>> CgroupTree::DirectoryOf(
    const std::string& path, pid_t pid) const {
  for (int attempt = 1;; ++attempt) {
    std::vector<std::string> at;  // names from the top down
    size_t length = path.size();  // of the path that they make
    std::optional<std::string> found;
    const absl::Status walked =
        Walk(path,
             [&](int directory, absl::string_view name,
                 size_t depth) -> absl::StatusOr<bool> {
               if (found.has_value()) return false;
               while (at.size() > depth) {
                 length -= at.back().size() + 1;
                 at.pop_back();
               }
               at.emplace_back(name);
               length += name.size() + 1;
               // No path that open(2) takes leads there or below.
               if (length > PATH_MAX) return false;
               ASSIGN_OR_RETURN(const std::vector<pid_t> own,
                                ReadProcesses(directory, std::string(name)));
               if (std::find(own.begin(), own.end(), pid) == own.end())
                 return true;
               at[0] = path;
               found = absl::StrJoin(at, "/");
               return false;
             });
    if (found.has_value()) return found;
    if (walked.ok()) return std::nullopt;
    if (!absl::IsAborted(walked) || attempt == kWalkAttempts) return walked;
  }
}

absl::Status CgroupTree::Remove(const std::string& path,
                                const base::Deadline& deadline) const {
  constexpr absl::Duration kPatience = absl::Seconds(2);
  const std::string name = Relative(path);
  base::Deadline patience = deadline.Within(kPatience);
  absl::Duration pause = absl::Microseconds(100);
  for (;;) {
    if (unlinkat(root(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) {
      return absl::OkStatus();
    }
    const absl::Status busy =
        base::ErrnoError(errno, absl::StrCat("rmdir ", path));
    if (errno != EBUSY && errno != ENOTEMPTY) return busy;
    uint64_t removed = 0;
    if (auto directory = Open(path); directory.ok()) {
      // What cannot go now is tried again.
      RemoveBelow(*std::move(directory), deadline, &removed).IgnoreError();
    }
    RETURN_IF_ERROR(deadline.Check());
    if (removed > 0) {
      patience = deadline.Within(kPatience);
      pause = absl::Microseconds(100);
    } else if (!patience.Check().ok()) {
      return busy;
    }
    absl::SleepFor(pause);
    pause = std::min(pause * 2, absl::Milliseconds(20));
  }
}

void CgroupTree::RemoveIfEmpty(const std::string& path) const {
  unlinkat(root(), Relative(path).c_str(), AT_REMOVEDIR);
}

absl::StatusOr<bool> WaitUnpopulated(int directory, absl::Duration timeout) {
  const int64_t deadline = NowNs() + absl::ToInt64Nanoseconds(timeout);
  ASSIGN_OR_RETURN(const base::UniqueFd events,
                   base::OpenAt(directory, "cgroup.events", O_RDONLY));
  for (;;) {
    char text[256];
    const ssize_t n = pread(events.get(), text, sizeof(text), 0);
    if (n < 0) {
      if (errno == ENODEV) return true;  // removed
      return base::ErrnoError(errno, "read cgroup.events");
    }
    if (absl::StrContains(absl::string_view(text, static_cast<size_t>(n)),
                          "populated 0")) {
      return true;
    }
    const int wait = MillisecondsUntil(deadline);
    if (wait == 0) return false;
    // kernfs answers POLLPRI after a change since the last read.
    pollfd p = {events.get(), POLLPRI, 0};
    if (poll(&p, 1, wait) < 0 && errno != EINTR) {
      return base::ErrnoError(errno, "poll cgroup.events");
    }
  }
}

bool IsUnpopulated(int directory) {
  return WaitUnpopulated(directory, absl::ZeroDuration()).value_or(false);
}

namespace {

// Signals those of `pids` that are still listed once their pidfds are open, and
// returns these. `left`: how many are listed.
absl::StatusOr<std::vector<base::UniqueFd>> KillBatch(
    absl::Span<const pid_t> pids,
    absl::FunctionRef<absl::StatusOr<std::vector<pid_t>>()> listed,
    size_t* left) {
  std::vector<std::pair<pid_t, base::UniqueFd>> processes;
  for (const pid_t pid : pids) {
    auto pidfd = base::OpenPidfd(pid);
    if (pidfd.ok()) processes.emplace_back(pid, *std::move(pidfd));
  }
  ASSIGN_OR_RETURN(std::vector<pid_t> still, listed());
  std::sort(still.begin(), still.end());
  *left = still.size();
  std::vector<base::UniqueFd> killed;
  for (auto& [pid, pidfd] : processes) {
    if (!std::binary_search(still.begin(), still.end(), pid)) continue;
    RETURN_IF_ERROR(base::SendSignal(pidfd.get(), SIGKILL));
    killed.push_back(std::move(pidfd));
  }
  return killed;
}

}  // namespace

absl::Status KillListed(
    absl::FunctionRef<absl::StatusOr<std::vector<pid_t>>()> listed,
    absl::Duration timeout) {
  const int64_t deadline = NowNs() + absl::ToInt64Nanoseconds(timeout);
  for (;;) {
    ASSIGN_OR_RETURN(const std::vector<pid_t> pids, listed());
    if (pids.empty()) return absl::OkStatus();
    size_t left = pids.size();
    std::vector<base::UniqueFd> killed;
    for (size_t at = 0; at < pids.size(); at += kKillBatch) {
      const size_t count = std::min(kKillBatch, pids.size() - at);
      ASSIGN_OR_RETURN(killed, KillBatch({&pids[at], count}, listed, &left));
    }
    // One round trip per dead process would be slow; look again after the
    // first of them, or soon when what is listed is not ours to wait for.
    if (MillisecondsUntil(deadline) == 0) {
      return absl::DeadlineExceededError(
          absl::StrCat(left, " processes do not die"));
    }
    const int wait =
        std::min(MillisecondsUntil(deadline), killed.empty() ? 1 : 20);
    for (const base::UniqueFd& pidfd : killed) {
      pollfd p = {pidfd.get(), POLLIN, 0};
      if (poll(&p, 1, wait) == 0) break;
    }
    if (killed.empty()) poll(nullptr, 0, wait);
  }
}

}  // namespace warren::runtime
