#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
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
constexpr int kAliveFd = 3;  // where the pipe of signs of life goes

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
bool ShimIsGone() {
  pollfd p = {kAliveFd, 0, 0};
  return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

// A session of its own, with the terminal, if there is one, as its controlling
// one.
int BecomeSessionLeader(Context* c) {
  if (setsid() < 0) return errno;
  if (!c->plan.tty) return 0;
  c->detail = "controlling terminal";
  return ioctl(STDIN_FILENO, TIOCSCTTY, 0) == 0 ? 0 : errno;
}

// clone(2) and not clone3(2), which filters refuse: they cannot see its flags.
// No namespaces here, so that the order of the last arguments, which depends on
// the architecture, does not matter.
pid_t CloneSibling(pid_t* child) {
  return static_cast<pid_t>(syscall(SYS_clone,
                                    CLONE_PARENT | CLONE_PARENT_SETTID, nullptr,
                                    child, nullptr, nullptr));
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

int NewSession(Context* c) {
  return c->plan.fork_last ? 0 : BecomeSessionLeader(c);
}

// EXE-3: nothing but stdio and the pipe, which execve closes. From here on only
// the last words are heard.
int CloseDescriptors(Context* c) {
  if (c->plan.alive_fd != kAliveFd &&
      dup3(c->plan.alive_fd, kAliveFd, O_CLOEXEC) < 0) {
    return errno;
  }
  c->report_fd = -1;
  return close_range(kAliveFd + 1, ~0U, 0) == 0 ? 0 : errno;
}

// Nobody but the shim and this process writes who was forked.
int LetGo(Context* c) {
  ResetSignals();
  umask(022);
  if (c->plan.fork_last &&
      syscall(SYS_madvise, c->plan.forked, sizeof(*c->plan.forked),
              MADV_DONTFORK) != 0) {
    return errno;
  }
  if (ShimIsGone()) _exit(127);
  return prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) == 0 ? 0 : errno;
}

// EXE-2: the first moment at which others in the pid namespace can see anything
// of the launch. What they see has the program's root, descriptors, identity,
// capabilities and filter, and is not dumpable. Who may trace it all the same
// (CAP_SYS_PTRACE) gets nothing that the container has not got; of the shim's
// it has the end of a pipe that nobody reads, and a page for the last words,
// which the shim takes for what a stranger says. A filter must permit clone(2),
// setsid(2) and, with a terminal, ioctl(2): one that does not ends the start.
int ForkLast(Context* c) {
  if (!c->plan.fork_last) return 0;
  c->detail = "clone (does the seccomp profile permit it?)";
  const pid_t pid = CloneSibling(c->plan.forked);
  if (pid < 0) return errno;
  if (pid > 0) _exit(0);
  c->detail = "setsid (does the seccomp profile permit it?)";
  return BecomeSessionLeader(c);
}

int Execute(Context* c) {
  c->detail = c->plan.program.args[0];
  return SearchAndExecute(c->plan.program);
}

}  // namespace warren::init
