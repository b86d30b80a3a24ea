#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/init/context.h"
#include "runtime/init/init.h"
#include "runtime/init/report.h"

namespace warren::init {
namespace {

// Decimal text of `value` in `buffer`; returns its start.
const char* ToText(long value, char (&buffer)[24]) {
  char* at = buffer + sizeof(buffer) - 1;
  *at = '\0';
  const bool negative = value < 0;
  unsigned long left = negative ? -static_cast<unsigned long>(value)
                                : static_cast<unsigned long>(value);
  do {
    *--at = static_cast<char>('0' + left % 10);
    left /= 10;
  } while (left != 0);
  if (negative) *--at = '-';
  return at;
}

// True when a line of the (seekable) list behind `fd` is `pid`.
bool ListHasPid(int fd, long pid, int* error) {
  if (lseek(fd, 0, SEEK_SET) != 0) {
    *error = errno;
    return false;
  }
  char buffer[4096];
  long line = 0;
  for (;;) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      *error = n < 0 ? errno : ESRCH;
      return false;
    }
    for (ssize_t i = 0; i < n; ++i) {
      if (buffer[i] == '\n') {
        if (line == pid) return true;
        line = 0;
      } else {
        line = line * 10 + (buffer[i] - '0');
      }
    }
  }
}

}  // namespace

pid_t CloneProcess(uint64_t flags, int cgroup_fd, pid_t* child) {
  clone_args args = {};
  args.flags = flags;
  if (child != nullptr) {
    args.flags |= CLONE_PARENT_SETTID;
    args.parent_tid = reinterpret_cast<uint64_t>(child);
  }
  // With CLONE_PARENT the kernel copies the caller's own exit signal.
  args.exit_signal = (flags & CLONE_PARENT) != 0 ? 0 : SIGCHLD;
  if (cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(cgroup_fd);
  }
  return static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof(args)));
}

// Until now the ids are those of the host, which nothing inside maps to.
int BecomeRoot() {
  if (syscall(SYS_setgroups, 0, nullptr) != 0) return errno;
  if (syscall(SYS_setresgid, 0, 0, 0) != 0) return errno;
  if (syscall(SYS_setresuid, 0, 0, 0) != 0) return errno;
  // A change of ids may make a process dumpable again (fs.suid_dumpable).
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return errno;
  return 0;
}

// EXE-2: before anything of the container can see this process.
int HideFromTracers(Context*) {
  return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : errno;
}

// EXE-9. Before the user namespace, so that the keyring counts against the
// host root's quota and not against the 200 keys of a mapped user.
// SELinux gives a key the label of who makes it, unless told otherwise (until
// execve): the program could not use its own. What is wrong with a label is
// said by the step that is there for it.
int NewKeyring(Context* c) {
  const char* label = c->plan.program.selinux_exec;
  if (label != nullptr) {
    WriteAttribute(c->plan.proc_fd, "thread-self/attr/keycreate", label);
  }
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) >= 0) return 0;
  return errno == ENOSYS ? 0 : errno;
}

// Before the user namespace: the file belongs to the host's root. Lowering
// needs CAP_SYS_RESOURCE; without it the inherited value stays (clamped).
int SetOomScore(Context* c) {
  const ProgramPlan& program = c->plan.program;
  if (!program.set_oom_score_adj) return 0;
  const int fd =
      openat(c->plan.proc_fd, "self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  char buffer[24];
  const char* text = ToText(program.oom_score_adj, buffer);
  int error = 0;
  if (write(fd, text, strlen(text)) < 0) error = errno;
  close(fd);
  return error == EACCES || error == EPERM ? 0 : error;
}

// A v1 list is sized by the tasks at the start of the read: when others join at
// that moment it is cut, and the descriptor goes on showing the cut one. So a
// miss counts only after fresh looks.
bool IsInCgroup(const Context& c, int fd, int* error) {
  constexpr int kLooks = 16;
  if (ListHasPid(fd, getpid(), error)) return true;
  char number[24];
  char path[32] = "self/fd/";
  const size_t directory = strlen(path);
  CopyText(path + directory, sizeof(path) - directory, ToText(fd, number));
  for (int look = 0; look < kLooks; ++look) {
    const int fresh = openat(c.plan.proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (fresh < 0) return false;
    const bool found = ListHasPid(fresh, getpid(), error);
    close(fresh);
    if (found) return true;
  }
  return false;
}

// EXE-10. v2 was done by the clone itself; of v1 every hierarchy is entered
// and asked whether it took.
int EnterCgroup(Context* c) {
  for (size_t i = 0; i < c->plan.cgroup_procs_count; ++i) {
    const int fd = c->plan.cgroup_procs_fds[i];
    c->detail = "cgroup.procs";
    if (write(fd, "0", 1) < 0) return errno;
    int error = 0;
    if (!IsInCgroup(*c, fd, &error)) return error;
  }
  return 0;
}

// The template mount namespace that ours is copied from; must come before the
// user namespace, whose root has no rights over it. Only in here can the null
// device be cloned, which is the template's own.
int EnterTemplate(Context* c) {
  if (setns(c->plan.template_mnt_fd, CLONE_NEWNS) != 0) return errno;
  if (c->plan.null_path == nullptr) return 0;
  c->detail = c->plan.null_path;
  c->null_tree = open_tree(AT_FDCWD, c->plan.null_path,
                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  return c->null_tree >= 0 ? 0 : errno;
}

int JoinUserNamespace(Context* c) {
  if (c->plan.user_fd < 0) return 0;
  if (setns(c->plan.user_fd, CLONE_NEWUSER) != 0) return errno;
  return BecomeRoot();
}

int JoinTarget(Context* c) {
  const uint64_t flags = c->plan.target_flags;
  if (setns(c->plan.target_pidfd, static_cast<int>(flags)) != 0) return errno;
  return (flags & CLONE_NEWUSER) != 0 ? BecomeRoot() : 0;
}

int JoinPidNamespace(Context* c) {
  if (c->plan.pid_fd < 0) return 0;
  return setns(c->plan.pid_fd, CLONE_NEWPID) == 0 ? 0 : errno;
}

// The procfs of a new pid namespace is mounted by who is in it: its first
// process goes on from here, alone in there until it is the program.
int ForkFirst(Context* c) {
  if (!c->plan.fork_first) return 0;
  const pid_t pid =
      CloneProcess(c->plan.fork_flags | CLONE_PARENT, -1, c->plan.forked);
  if (pid < 0) return errno;
  if (pid == 0) return 0;
  _exit(0);
}

// Dies with the shim as long as it is not the program (SetIds does it anew,
// LetGo ends it).
int DieWithShim(Context*) {
  return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 ? 0 : errno;
}

int JoinNamespaces(Context* c) {
  for (size_t i = 0; i < c->plan.join_count; ++i) {
    const Join& join = c->plan.joins[i];
    switch (join.flag) {
      case CLONE_NEWNET:
        c->detail = "net";
        break;
      case CLONE_NEWIPC:
        c->detail = "ipc";
        break;
      case CLONE_NEWUTS:
        c->detail = "uts";
        break;
      case CLONE_NEWTIME:
        c->detail = "time";
        break;
      case CLONE_NEWCGROUP:
        c->detail = "cgroup";
        break;
      default:
        c->detail = "namespace";
        break;
    }
    if (setns(join.fd, static_cast<int>(join.flag)) != 0) return errno;
  }
  return 0;
}

int UnshareNamespaces(Context* c) {
  return unshare(static_cast<int>(c->plan.unshare_flags)) == 0 ? 0 : errno;
}

}  // namespace warren::init
