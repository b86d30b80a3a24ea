#include "runtime/base/placed_spawn.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace warren::base {
namespace {

// The child is in the memory of its parent, which stands still meanwhile, and
// on its stack: system calls only, no state of libc or of a sanitizer.
#define WARREN_IN_CHILD \
  __attribute__((no_sanitize("address"), no_sanitize("thread"), noinline))

struct Attempt {
  const PlacedProgram* program;
  // Written by the child. To a compiler that is a function which never returns.
  volatile int error = 0;
};

// The size of the kernel's sigset_t.
constexpr size_t kSignalSetBytes = 8;

WARREN_IN_CHILD int EnterCgroups(const PlacedProgram& program) {
  for (size_t i = 0; i < program.task_count; ++i) {
    if (syscall(SYS_write, program.tasks[i], "0", 1) != 1) return errno;
  }
  return 0;
}

WARREN_IN_CHILD int ResetSignals() {
  // The kernel's struct sigaction of SIG_DFL: handler, flags, restorer, mask.
  const uint64_t by_default[4] = {};
  for (int signal = 1; signal <= 64; ++signal) {
    if (syscall(SYS_rt_sigaction, signal, by_default, nullptr,
                kSignalSetBytes) != 0 &&
        errno != EINVAL) {  // SIGKILL and SIGSTOP
      return errno;
    }
  }
  const uint64_t none = 0;
  return syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr,
                 kSignalSetBytes) == 0
             ? 0
             : errno;
}

WARREN_IN_CHILD int PlaceFds(const PlacedProgram& program) {
  for (size_t i = 0; i < program.fd_count; ++i) {
    if (syscall(SYS_dup3, program.fds[i], i, 0) < 0) return errno;
  }
  return 0;
}

[[noreturn]] WARREN_IN_CHILD void BecomeProgram(Attempt* attempt) {
  const PlacedProgram& program = *attempt->program;
  int error = EnterCgroups(program);
  if (error == 0 && syscall(SYS_setsid) < 0) error = errno;
  if (error == 0) error = PlaceFds(program);
  if (error == 0) error = ResetSignals();
  if (error == 0) {
    syscall(SYS_execve, program.path, program.args, program.env);
    error = errno;
  }
  attempt->error = error;
  for (;;) syscall(SYS_exit_group, 127);
}

// Returns in the parent only, with its frame as it was: the system call is a
// part of this function, because a frame that the child has left would be
// overwritten by what it calls next. -errno, or the number of the child.
WARREN_IN_CHILD long CloneAndBecome(const clone_args* args, Attempt* attempt) {
  long result = 0;
#if defined(__x86_64__)
  result = SYS_clone3;
  __asm__ volatile("syscall"
                   : "+a"(result)
                   : "D"(args), "S"(sizeof(*args))
                   : "rcx", "r11", "memory");
#elif defined(__aarch64__)
  register long number __asm__("x8") = SYS_clone3;
  register long first __asm__("x0") = reinterpret_cast<long>(args);
  register long second __asm__("x1") = sizeof(*args);
  __asm__ volatile("svc 0" : "+r"(first) : "r"(number), "r"(second) : "memory");
  result = first;
#else
#error "the system call of this processor is not known here"
#endif
  if (result == 0) BecomeProgram(attempt);
  return result;
}

}  // namespace

int SpawnPlaced(const PlacedProgram& program, pid_t* pid) {
  clone_args args = {};
  args.flags = CLONE_VM | CLONE_VFORK;
  args.exit_signal = SIGCHLD;
  if (program.cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(program.cgroup);
  }
  Attempt attempt = {&program};
  // No handler of ours may run in the child.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  const long result = CloneAndBecome(&args, &attempt);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (result < 0) return static_cast<int>(-result);
  if (attempt.error == 0) {
    *pid = static_cast<pid_t>(result);
    return 0;
  }
  // It has left already, and is nobody else's.
  siginfo_t ignored = {};
  while (waitid(P_PID, static_cast<id_t>(result), &ignored, WEXITED) != 0 &&
         errno == EINTR) {
  }
  return attempt.error;
}

}  // namespace warren::base
