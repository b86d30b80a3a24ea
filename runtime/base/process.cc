#include "runtime/base/process.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "runtime/base/adopted.h"
#include "runtime/base/deadline.h"
#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/placed_spawn.h"
#include "runtime/base/status.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

namespace warren::base {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& s : strings) {
    out.push_back(const_cast<char*>(s.c_str()));
  }
  out.push_back(nullptr);
  return out;
}

class SpawnActions {
 public:
  SpawnActions() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK |
                                               POSIX_SPAWN_SETSIGDEF |
                                               POSIX_SPAWN_SETSID);
  }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  ~SpawnActions() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }

  // Descriptors are first copied above every target number, so that moving
  // one cannot overwrite another that is still to be moved.
  absl::Status PlaceFds(const std::vector<int>& fds) {
    for (size_t i = 0; i < fds.size(); ++i) {
      const int target = static_cast<int>(i);
      if (fds[i] < 0) {
        posix_spawn_file_actions_addopen(&actions_, target, "/dev/null", O_RDWR,
                                         0);
        continue;
      }
      UniqueFd copy(
          fcntl(fds[i], F_DUPFD_CLOEXEC, static_cast<int>(fds.size()) + 1));
      if (!copy.valid()) return ErrnoError(errno, "dup");
      posix_spawn_file_actions_adddup2(&actions_, copy.get(), target);
      copies_.push_back(std::move(copy));
    }
    return absl::OkStatus();
  }

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
  std::vector<UniqueFd> copies_;
};

// Copies above every target number, as above.
absl::StatusOr<std::vector<UniqueFd>> CopiesAbove(const std::vector<int>& fds) {
  std::vector<UniqueFd> copies;
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.valid()) return ErrnoError(errno, "open /dev/null");
  for (const int fd : fds) {
    copies.emplace_back(fcntl(fd < 0 ? null.get() : fd, F_DUPFD_CLOEXEC,
                              static_cast<int>(fds.size()) + 1));
    if (!copies.back().valid()) return ErrnoError(errno, "dup");
  }
  return copies;
}

absl::StatusOr<pid_t> SpawnInCgroup(const SpawnOptions& options,
                                    char* const* args, char* const* env) {
  ASSIGN_OR_RETURN(const std::vector<UniqueFd> copies,
                   CopiesAbove(options.fds));
  std::vector<int> numbers;
  for (const UniqueFd& copy : copies) numbers.push_back(copy.get());
  PlacedProgram program;
  program.path = options.path.c_str();
  program.args = args;
  program.env = env;
  program.fds = numbers.data();
  program.fd_count = numbers.size();
  program.cgroup = options.cgroup;
  program.tasks = options.cgroup_tasks.data();
  program.task_count = options.cgroup_tasks.size();
  pid_t pid = 0;
  int err = 0;
  KeepOwnChild([&] {
    err = SpawnPlaced(program, &pid);
    return err == 0 ? pid : 0;
  });
  if (err != 0) return ErrnoError(err, absl::StrCat("spawn ", options.path));
  return pid;
}

absl::StatusOr<pid_t> SpawnHere(const SpawnOptions& options, char* const* args,
                                char* const* env) {
  SpawnActions actions;
  RETURN_IF_ERROR(actions.PlaceFds(options.fds));
  pid_t pid = 0;
  int err = 0;
  KeepOwnChild([&] {
    err = posix_spawn(&pid, options.path.c_str(), actions.actions(),
                      actions.attributes(), args, env);
    return err == 0 ? pid : 0;
  });
  if (err != 0) return ErrnoError(err, absl::StrCat("spawn ", options.path));
  return pid;
}

// Its descriptor and start time; its number cannot be reused meanwhile, as the
// child is ours and unreaped.
absl::Status Identify(Child* child) {
  ASSIGN_OR_RETURN(child->pidfd, OpenPidfd(child->id.pid));
  ASSIGN_OR_RETURN(child->id.start_time, StartTime(child->id.pid));
  return absl::OkStatus();
}

// Ends a child that nobody will hear of. By its number, as there may be no
// descriptor left for another way: unreaped, it is nobody else's.
void Abandon(pid_t pid) {
  kill(pid, SIGKILL);
  siginfo_t ignored = {};
  while (waitid(P_PID, static_cast<id_t>(pid), &ignored, WEXITED | WNOWAIT) !=
             0 &&
         errno == EINTR) {
  }
  ForgetOwnChild([&] {
    while (waitid(P_PID, static_cast<id_t>(pid), &ignored, WEXITED | WNOHANG) !=
               0 &&
           errno == EINTR) {
    }
    return pid;
  });
}

}  // namespace

absl::StatusOr<uint64_t> StartTime(pid_t pid) {
  ASSIGN_OR_RETURN(
      const std::string stat,
      ReadFileAt(AT_FDCWD, absl::StrCat("/proc/", pid, "/stat"), 4096));
  // The command name may hold blanks and brackets; fields start after the
  // last ')'. Field 3 (state) is the first of them, 22 the twentieth.
  const size_t close = stat.rfind(')');
  if (close == std::string::npos) return ErrnoError(EINVAL, "/proc/pid/stat");
  const std::vector<std::string> fields =
      absl::StrSplit(stat.substr(close + 1), ' ', absl::SkipEmpty());
  uint64_t start = 0;
  if (fields.size() < 20 || !absl::SimpleAtoi(fields[19], &start)) {
    return ErrnoError(EINVAL, "/proc/pid/stat");
  }
  return start;
}

absl::StatusOr<UniqueFd> OpenPidfd(pid_t pid) {
  UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!fd.valid()) return ErrnoError(errno, absl::StrCat("pidfd of ", pid));
  return fd;
}

absl::StatusOr<UniqueFd> OpenProcess(const ProcessId& id) {
  auto fd = OpenPidfd(id.pid);
  if (!fd.ok()) {
    if (GetErrno(fd.status()) != ESRCH) return fd.status();
    return absl::NotFoundError(absl::StrCat("process ", id.pid, " is gone"));
  }
  // Without descriptors or memory procfs cannot be asked: that is no answer.
  ASSIGN_OR_RETURN(const std::optional<uint64_t> start,
                   ToLook(StartTime(id.pid)));
  if (start != id.start_time) {
    return absl::NotFoundError(absl::StrCat("process ", id.pid, " is gone"));
  }
  return fd;
}

absl::Status SendSignal(int pidfd, int signal) {
  if (syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0 ||
      errno == ESRCH) {
    return absl::OkStatus();
  }
  return ErrnoError(errno, absl::StrCat("send signal ", signal));
}

absl::StatusOr<bool> WaitExit(int pidfd, absl::Duration timeout) {
  const absl::Status exited = AwaitFd(pidfd, POLLIN, Deadline::After(timeout));
  if (exited.ok()) return true;
  if (absl::IsDeadlineExceeded(exited)) return false;
  return Annotate(exited, "wait for a process");
}

absl::StatusOr<Child> Spawn(const SpawnOptions& options) {
  const std::vector<char*> args = Pointers(options.args);
  const std::vector<char*> env = Pointers(options.env);
  const bool placed = options.cgroup >= 0 || !options.cgroup_tasks.empty();
  Child child;
  ASSIGN_OR_RETURN(child.id.pid,
                   placed ? SpawnInCgroup(options, args.data(), env.data())
                          : SpawnHere(options, args.data(), env.data()));
  const absl::Status identified = Identify(&child);
  if (identified.ok()) return child;
  Abandon(child.id.pid);
  return identified;
}

absl::StatusOr<int> Reap(int pidfd) {
  siginfo_t info = {};
  // A signal in between must not leave a zombie.
  const auto wait = [&](int flags) {
    int error = 0;
    do {
      error = waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd),
                     &info, WEXITED | flags) == 0
                  ? 0
                  : errno;
    } while (error == EINTR);
    return error;
  };
  int error = wait(WNOWAIT);
  if (error == 0) {
    ForgetOwnChild([&] {
      error = wait(WNOHANG);
      return error == 0 ? info.si_pid : 0;
    });
  }
  if (error == ECHILD) return absl::NotFoundError("not a child");
  if (error != 0) return ErrnoError(error, "waitid");
  if (info.si_code == CLD_EXITED) return (info.si_status & 0xff) << 8;
  return info.si_status & 0x7f;
}

}  // namespace warren::base
