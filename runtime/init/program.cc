#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "runtime/init/context.h"
#include "runtime/init/target.h"

namespace warren::init {
namespace {

constexpr int kLastSignal = 64;
constexpr int kReportFd = 3;  // where the report socket goes at the end

// Handlers do not survive execve, ignored signals and the mask do: the shim
// ignores and blocks some, and may have been started with others ignored. The
// raw call reaches the two that libc keeps for itself.
void ResetSignals() {
  const struct {
    void* handler;  // SIG_DFL
    unsigned long flags;
    void* restorer;
    uint64_t mask;
  } action = {};
  for (int signal = 1; signal <= kLastSignal; ++signal) {
    // Fails for KILL and STOP only.
    syscall(SYS_rt_sigaction, signal, &action, nullptr, sizeof(action.mask));
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// The shim holds the other end; if it is gone, so is the launch.
bool ShimIsGone(int report_fd) {
  pollfd p = {report_fd, 0, 0};
  return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

// execve of args[0] in every directory of the search path, as execvp(3) does
// but without its shell fallback. Returns the errno to tell.
int SearchAndExecute(const ProgramPlan& program) {
  const char* name = program.args[0];
  auto* const args = const_cast<char* const*>(program.args);
  auto* const env = const_cast<char* const*>(program.env);
  if (strchr(name, '/') != nullptr) {
    execve(name, args, env);
    return errno;
  }
  bool denied = false;
  const char* at = program.search_path;
  for (;;) {
    const size_t length = strcspn(at, ":");
    char path[PATH_MAX];
    if (length + 1 + strlen(name) < sizeof(path)) {
      memcpy(path, at, length);
      // An empty element means the working directory (environ(7)).
      const size_t slash = length == 0 ? 0 : 1;
      if (slash != 0) path[length] = '/';
      memcpy(path + length + slash, name, strlen(name) + 1);
      execve(path, args, env);
      if (errno == EACCES) denied = true;
      if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) return errno;
    }
    if (at[length] == '\0') return denied ? EACCES : ENOENT;
    at += length + 1;
  }
}

}  // namespace

// EXE-4: made and opened inside the root; then the kernel itself must say
// that it lies below "/".
int EnterWorkingDir(Context* c) {
  c->detail = c->plan.program.cwd;
  const int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return errno;
  int cwd;
  const int error =
      OpenTarget(root, c->detail, {.create = c->plan.container}, &cwd);
  close(root);
  if (error != 0) return error;
  if (fchdir(cwd) != 0) return errno;
  close(cwd);
  char path[PATH_MAX];
  if (syscall(SYS_getcwd, path, sizeof(path)) < 0) return errno;
  return path[0] == '/' ? 0 : ENOENT;
}

// EXE-3: nothing but stdio and the report socket, which execve closes.
int CloseDescriptors(Context* c) {
  if (c->report_fd != kReportFd) {
    if (dup3(c->report_fd, kReportFd, O_CLOEXEC) < 0) return errno;
    c->report_fd = kReportFd;
  }
  return close_range(kReportFd + 1, ~0U, 0) == 0 ? 0 : errno;
}

// The last calls but two: what comes after the filter is execve only.
int LetGo(Context* c) {
  ResetSignals();
  umask(022);
  if (ShimIsGone(c->report_fd)) _exit(127);
  return prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) == 0 ? 0 : errno;
}

int Execute(Context* c) {
  c->detail = c->plan.program.args[0];
  return SearchAndExecute(c->plan.program);
}

}  // namespace warren::init
