#include "runtime/cgroup/tree.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/time/clock.h>
#include <fcntl.h>
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

namespace warren::runtime {
namespace {

// A host with hundreds of thousands of processes in one cgroup still fits.
constexpr size_t kProcsLimit = 4 << 20;
// A parent can vanish between its mkdir and ours as often as other pods end.
constexpr int kMakeAttempts = 20;

// "/a/b" as openat and mkdirat want it.
std::string Relative(const std::string& path) {
  const size_t start = path.find_first_not_of('/');
  return start == std::string::npos ? "." : path.substr(start);
}

absl::StatusOr<base::UniqueFd> OpenDirectory(int at, const std::string& name) {
  return base::OpenAt(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

absl::StatusOr<std::vector<std::string>> SubDirectories(int directory) {
  std::vector<std::string> result;
  ASSIGN_OR_RETURN(const auto names, base::ListDir(directory, "."));
  for (const std::string& name : names) {
    struct stat st;
    if (fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (base::ProvesAbsence(errno)) continue;
      return base::ErrnoError(errno, name);
    }
    if (S_ISDIR(st.st_mode)) result.push_back(name);
  }
  return result;
}

// Those of the directory itself.
absl::StatusOr<std::vector<pid_t>> ReadProcesses(int directory) {
  std::vector<pid_t> pids;
  auto text = base::ReadFileAt(directory, "cgroup.procs", kProcsLimit);
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

absl::Status CollectProcesses(int directory, std::vector<pid_t>* pids) {
  ASSIGN_OR_RETURN(const std::vector<pid_t> own, ReadProcesses(directory));
  pids->insert(pids->end(), own.begin(), own.end());
  ASSIGN_OR_RETURN(const auto names, SubDirectories(directory));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const std::optional<base::UniqueFd> sub,
                     base::ToLook(OpenDirectory(directory, name)));
    if (!sub.has_value()) continue;  // removed meanwhile
    RETURN_IF_ERROR(CollectProcesses(sub->get(), pids));
  }
  return absl::OkStatus();
}

absl::Status RemoveBelow(int directory) {
  ASSIGN_OR_RETURN(const auto names, SubDirectories(directory));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const std::optional<base::UniqueFd> sub,
                     base::ToLook(OpenDirectory(directory, name)));
    if (!sub.has_value()) continue;  // removed meanwhile
    RETURN_IF_ERROR(RemoveBelow(sub->get()));
    if (unlinkat(directory, name.c_str(), AT_REMOVEDIR) != 0 &&
        errno != ENOENT) {
      return base::ErrnoError(errno, absl::StrCat("rmdir ", name));
    }
  }
  return absl::OkStatus();
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
      const bool made = mkdirat(parent, part.c_str(), 0755) == 0;
      if (!made && errno != EEXIST) {
        current = base::ErrnoError(errno, absl::StrCat("mkdir ", path));
        break;
      }
      auto next = OpenDirectory(parent, part);
      // The daemon's umask must not hide a container's limits from it.
      if (made && next.ok() && fchmod(next->get(), 0755) != 0) {
        return base::ErrnoError(errno, absl::StrCat("chmod ", path));
      }
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
  return last;
}

absl::StatusOr<base::UniqueFd> CgroupTree::Open(const std::string& path) const {
  return OpenDirectory(root(), Relative(path));
}

bool CgroupTree::Exists(const std::string& path) const {
  return faccessat(root(), Relative(path).c_str(), F_OK, 0) == 0;
}

absl::StatusOr<std::vector<pid_t>> CgroupTree::Processes(
    const std::string& path) const {
  std::vector<pid_t> pids;
  auto directory = Open(path);
  if (!directory.ok()) {
    if (base::GetErrno(directory.status()) == ENOENT) return pids;
    return directory.status();
  }
  RETURN_IF_ERROR(CollectProcesses(directory->get(), &pids));
  return pids;
}

absl::StatusOr<std::optional<std::string>> CgroupTree::DirectoryOf(
    const std::string& path, pid_t pid) const {
  // Cgroups come and go while this looks.
  ASSIGN_OR_RETURN(const std::optional<base::UniqueFd> directory,
                   base::ToLook(Open(path)));
  if (!directory.has_value()) return std::nullopt;
  ASSIGN_OR_RETURN(const std::vector<pid_t> own,
                   ReadProcesses(directory->get()));
  if (std::find(own.begin(), own.end(), pid) != own.end()) return path;
  ASSIGN_OR_RETURN(const auto names, SubDirectories(directory->get()));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(auto found,
                     DirectoryOf(absl::StrCat(path, "/", name), pid));
    if (found.has_value()) return found;
  }
  return std::nullopt;
}

absl::Status CgroupTree::Remove(const std::string& path) const {
  constexpr int64_t kPatienceNs = 2'000'000'000;
  const std::string name = Relative(path);
  const int64_t deadline = NowNs() + kPatienceNs;
  absl::Duration pause = absl::Microseconds(100);
  for (;;) {
    if (unlinkat(root(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) {
      return absl::OkStatus();
    }
    const int error = errno;
    if (error != EBUSY && error != ENOTEMPTY) {
      return base::ErrnoError(error, absl::StrCat("rmdir ", path));
    }
    auto directory = Open(path);
    if (directory.ok()) RemoveBelow(directory->get()).IgnoreError();
    if (NowNs() > deadline) {
      return base::ErrnoError(error, absl::StrCat("rmdir ", path));
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

absl::Status KillListed(
    absl::FunctionRef<absl::StatusOr<std::vector<pid_t>>()> listed,
    absl::Duration timeout) {
  const int64_t deadline = NowNs() + absl::ToInt64Nanoseconds(timeout);
  for (;;) {
    ASSIGN_OR_RETURN(const std::vector<pid_t> pids, listed());
    if (pids.empty()) return absl::OkStatus();
    std::vector<std::pair<pid_t, base::UniqueFd>> processes;
    for (const pid_t pid : pids) {
      auto pidfd = base::OpenPidfd(pid);
      if (pidfd.ok()) processes.emplace_back(pid, *std::move(pidfd));
    }
    ASSIGN_OR_RETURN(const std::vector<pid_t> still, listed());
    std::vector<pollfd> waiting;
    for (const auto& [pid, pidfd] : processes) {
      if (std::find(still.begin(), still.end(), pid) == still.end()) continue;
      RETURN_IF_ERROR(base::SendSignal(pidfd.get(), SIGKILL));
      waiting.push_back({pidfd.get(), POLLIN, 0});
    }
    // One round trip per dead process would be slow; look again after the
    // first of them, or soon when what is listed is not ours to wait for.
    if (MillisecondsUntil(deadline) == 0) {
      return absl::DeadlineExceededError(
          absl::StrCat(still.size(), " processes do not die"));
    }
    const int wait =
        std::min(MillisecondsUntil(deadline), waiting.empty() ? 1 : 20);
    for (pollfd& p : waiting) {
      if (poll(&p, 1, wait) == 0) break;
    }
    if (waiting.empty()) poll(nullptr, 0, wait);
  }
}

}  // namespace warren::runtime
