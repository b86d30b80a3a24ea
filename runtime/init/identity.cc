#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/init/context.h"

namespace warren::init {
namespace {

constexpr int kMaxCapability = 63;

bool Has(uint64_t set, int capability) {
  return ((set >> capability) & 1) != 0;
}

struct CapSets {
  uint64_t effective = 0;
  uint64_t permitted = 0;
  uint64_t inheritable = 0;
};

int GetCaps(CapSets* sets) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return errno;
  sets->permitted = data[0].permitted | uint64_t{data[1].permitted} << 32;
  return 0;
}

int SetCaps(const CapSets& sets) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  for (int i = 0; i < 2; ++i) {
    data[i].effective = static_cast<uint32_t>(sets.effective >> (32 * i));
    data[i].permitted = static_cast<uint32_t>(sets.permitted >> (32 * i));
    data[i].inheritable = static_cast<uint32_t>(sets.inheritable >> (32 * i));
  }
  return syscall(SYS_capset, &header, data) == 0 ? 0 : errno;
}

// Without no_new_privs a filter needs CAP_SYS_ADMIN (seccomp(2)).
uint64_t NeededForFilter(const ProgramPlan& program) {
  const bool needed = program.seccomp.len != 0 && !program.no_new_privs;
  return needed ? uint64_t{1} << CAP_SYS_ADMIN : 0;
}

}  // namespace

int WriteAttribute(int proc_fd, const char* name, const char* text) {
  const int fd = openat(proc_fd, name, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = write(fd, text, strlen(text)) < 0 ? errno : 0;
  close(fd);
  return error;
}

// A limit above the current hard one needs CAP_SYS_RESOURCE; without it the
// nearest allowed value is taken.
int SetLimits(Context* c) {
  const ProgramPlan& program = c->plan.program;
  for (size_t i = 0; i < program.limit_count; ++i) {
    const Limit& asked = program.limits[i];
    rlimit limit = {asked.soft, asked.hard};
    const auto resource = static_cast<__rlimit_resource>(asked.resource);
    if (setrlimit(resource, &limit) == 0) continue;
    if (errno != EPERM) return errno;
    rlimit now;
    if (getrlimit(resource, &now) != 0) return errno;
    limit.rlim_max = std::min<uint64_t>(asked.hard, now.rlim_max);
    limit.rlim_cur = std::min<uint64_t>(asked.soft, limit.rlim_max);
    if (setrlimit(resource, &limit) != 0) return errno;
  }
  return 0;
}

// EXE-8: what cannot be applied ends the start. AppArmor has a directory of its
// own since Linux 5.8; before, it shares the file with whatever module is
// first, and that module refuses what is not its own.
int SetSecurityLabels(Context* c) {
  const ProgramPlan& program = c->plan.program;
  if (program.apparmor_exec != nullptr) {
    c->detail = program.apparmor_exec;
    int error = WriteAttribute(c->plan.proc_fd,
                               "thread-self/attr/apparmor/exec", c->detail);
    if (error == ENOENT) {
      error =
          WriteAttribute(c->plan.proc_fd, "thread-self/attr/exec", c->detail);
    }
    if (error != 0) return error;
  }
  if (program.selinux_exec == nullptr) return 0;
  c->detail = program.selinux_exec;
  return WriteAttribute(c->plan.proc_fd, "thread-self/attr/exec", c->detail);
}

int DropBounding(Context* c) {
  for (int cap = 0; cap <= kMaxCapability; ++cap) {
    if (Has(c->plan.program.cap_bounding, cap)) continue;
    if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) != 1) continue;
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) return errno;
  }
  return 0;
}

// EXE-5: exactly the groups asked for. Raw system calls: those of libc would
// look for other threads.
int SetIds(Context* c) {
  const ProgramPlan& program = c->plan.program;
  c->detail = "groups";
  if (syscall(SYS_setgroups, program.group_count, program.groups) != 0) {
    return errno;
  }
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return errno;
  c->detail = "gid";
  const uint32_t gid = program.gid;
  if (syscall(SYS_setresgid, gid, gid, gid) != 0) return errno;
  c->detail = "uid";
  const uint32_t uid = program.uid;
  if (syscall(SYS_setresuid, uid, uid, uid) != 0) return errno;
  if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) return errno;
  // A change of ids makes dumpable what fs.suid_dumpable says, and ends the
  // parent-death signal (prctl(2)).
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return errno;
  return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 ? 0 : errno;
}

// EXE-6. What was asked for but is not there to give (a privileged container
// of an agent that lacks a capability) is left out. What loading the filter
// takes stays until execve, which makes the sets anew from the bounding, the
// inheritable and the ambient one (capabilities(7)) and so drops it.
int SetCapabilities(Context* c) {
  const ProgramPlan& program = c->plan.program;
  CapSets now;
  int error = GetCaps(&now);
  if (error != 0) return error;
  CapSets next;
  const uint64_t given = program.cap_effective & now.permitted;
  next.permitted = given | (NeededForFilter(program) & now.permitted);
  next.effective = next.permitted;
  next.inheritable = program.cap_ambient & given;
  // A program that is not root keeps only the ambient ones over execve.
  error = SetCaps(next);
  if (error != 0) return error;
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
    return errno;
  }
  for (int cap = 0; cap <= kMaxCapability; ++cap) {
    if (!Has(next.inheritable, cap)) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) != 0) {
      return errno;
    }
  }
  return 0;
}

int SetNoNewPrivs(Context* c) {
  if (!c->plan.program.no_new_privs) return 0;
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : errno;
}

// EXE-7: the last thing before execve or the last fork, so that a filter need
// not allow what the steps before do. Not after that fork: a program that is
// seen without its filter can be made to do what the filter refuses.
int LoadSeccomp(Context* c) {
  const ProgramPlan& program = c->plan.program;
  if (program.seccomp.len == 0) return 0;
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, program.seccomp_flags,
                 &program.seccomp) == 0
             ? 0
             : errno;
}

}  // namespace warren::init
