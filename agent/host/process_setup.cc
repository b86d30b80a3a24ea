#include "agent/host/process_setup.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <thread>

#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

constexpr char kOomScoreAdj[] = "-999";

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

}  // namespace

std::vector<std::string> HardenProcess() {
  std::vector<std::string> refused;
  umask(077);
  signal(SIGPIPE, SIG_IGN);
  // The hard limit stays: containers inherit it.
  rlimit core = {};
  if (getrlimit(RLIMIT_CORE, &core) == 0) core.rlim_cur = 0;
  if (setrlimit(RLIMIT_CORE, &core) != 0) {
    refused.push_back(
        absl::StrCat("core dumps stay possible: ", strerror(errno)));
  }
  if (prctl(PR_SET_DUMPABLE, 0) != 0) {
    refused.push_back(
        absl::StrCat("the process stays dumpable: ", strerror(errno)));
  }
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 &&
      files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
      refused.push_back(
          absl::StrCat("the limit of open files stays low: ", strerror(errno)));
    }
  }
  const absl::Status adjusted =
      base::WriteControlAt(AT_FDCWD, "/proc/self/oom_score_adj", kOomScoreAdj);
  if (!adjusted.ok()) {
    refused.push_back(
        absl::StrCat("the daemon keeps its OOM score, so the kernel may kill "
                     "it when memory runs out: ",
                     adjusted.message()));
  }
  return refused;
}

absl::StatusOr<base::UniqueFd> LockState(const std::string& state_dir) {
  ASSIGN_OR_RETURN_IN(const base::UniqueFd directory,
                      base::MakeDirs(AT_FDCWD, state_dir, 0700), state_dir);
  ASSIGN_OR_RETURN_IN(base::UniqueFd lock,
                      base::OpenAt(directory.get(), "lock",
                                   O_RDWR | O_CREAT | O_NOFOLLOW, 0600),
                      absl::StrCat(state_dir, "/lock"));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK) {
    return absl::FailedPreconditionError(
        absl::StrCat(state_dir, ": another warrend works with this directory"));
  }
  return base::ErrnoError(errno, absl::StrCat("lock ", state_dir, "/lock"));
}

ShutdownSignals::ShutdownSignals(absl::Duration grace) : grace_(grace) {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // Lives as long as the process: there is no moment at which signals may go
  // unheard.
  std::thread([this] { Loop(); }).detach();
}

void ShutdownSignals::Loop() {
  const sigset_t signals = StopSignals();
  while (sigwaitinfo(&signals, nullptr) < 0) {
  }
  {
    absl::MutexLock lock(&mutex_);
    if (!serving_) _exit(0);
    requested_ = true;
  }
  const timespec grace = absl::ToTimespec(grace_);
  while (sigtimedwait(&signals, nullptr, &grace) < 0 && errno == EINTR) {
  }
  _exit(0);
}

void ShutdownSignals::Serving() {
  absl::MutexLock lock(&mutex_);
  serving_ = true;
}

void ShutdownSignals::Wait() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&requested_));
}

}  // namespace warren::agent
