#include "runtime/seccomp/default_profile.h"

#include <absl/strings/str_split.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>

#include <cerrno>
#include <initializer_list>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace warren::seccomp {
namespace {

// ---- Always allowed -------------------------------------------------------

// The kernel checks permissions and capabilities of each; what they reach is
// bounded by the namespaces, the root file system and the cgroup. Names with
// 32 or 64 at the end are those of 32-bit processes.
constexpr const char* kAllowed[] = {
    // Files: open, read and write.
    "open openat openat2 creat close close_range dup dup2 dup3 fcntl fcntl64 "
    "read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 "
    "lseek _llseek ioctl flock fsync fdatasync sync syncfs sync_file_range "
    "sync_file_range2 arm_sync_file_range fallocate ftruncate ftruncate64 "
    "truncate truncate64 readahead fadvise64 fadvise64_64 arm_fadvise64_64 "
    "cachestat copy_file_range sendfile sendfile64 splice tee vmsplice pipe "
    "pipe2",
    // Files: names, attributes, directories. The name of a handle is harmless:
    // the call that opens one needs CAP_DAC_READ_SEARCH, see below.
    "access faccessat faccessat2 stat stat64 lstat lstat64 fstat fstat64 "
    "fstatat64 newfstatat statx statfs statfs64 fstatfs fstatfs64 getdents "
    "getdents64 getcwd chdir fchdir mkdir mkdirat rmdir mknod mknodat link "
    "linkat symlink symlinkat readlink readlinkat rename renameat renameat2 "
    "unlink unlinkat chmod fchmod fchmodat fchmodat2 chown chown32 fchown "
    "fchown32 fchownat lchown lchown32 utime utimes utimensat "
    "utimensat_time64 futimesat umask getxattr lgetxattr fgetxattr setxattr "
    "lsetxattr fsetxattr listxattr llistxattr flistxattr removexattr "
    "lremovexattr fremovexattr getxattrat setxattrat listxattrat "
    "removexattrat name_to_handle_at inotify_init inotify_init1 "
    "inotify_add_watch inotify_rm_watch",
    // Memory. memfd_secret hides a process' memory from others, not others'
    // from it.
    "brk mmap mmap2 munmap mremap mprotect msync madvise mincore mlock mlock2 "
    "mlockall munlock munlockall mseal map_shadow_stack remap_file_pages "
    "memfd_create memfd_secret pkey_alloc pkey_free pkey_mprotect membarrier "
    "process_mrelease",
    // Processes and threads; clone, clone3 and unshare have rules below.
    // ptrace reaches processes of the same pid namespace and user only, and
    // the filter looks at a call after the tracer did (Linux 4.8).
    "fork vfork execve execveat exit exit_group wait4 waitid waitpid getpid "
    "getppid gettid getpgid getpgrp setpgid getsid setsid set_tid_address "
    "get_robust_list set_robust_list get_thread_area set_thread_area set_tls "
    "rseq restart_syscall kill tkill tgkill pidfd_open pidfd_send_signal "
    "prctl ptrace capget capset getrlimit ugetrlimit setrlimit prlimit64 "
    "getrusage times nice getpriority setpriority getcpu ioprio_get "
    "ioprio_set sched_get_priority_max sched_get_priority_min "
    "sched_getaffinity sched_getattr sched_getparam sched_getscheduler "
    "sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity "
    "sched_setattr sched_setparam sched_setscheduler sched_yield uname "
    "sysinfo",
    // More confinement of oneself.
    "seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    // Users and groups.
    "getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 "
    "getresuid getresuid32 getresgid getresgid32 setuid setuid32 setgid "
    "setgid32 setreuid setreuid32 setregid setregid32 setresuid setresuid32 "
    "setresgid setresgid32 setfsuid setfsuid32 setfsgid setfsgid32 getgroups "
    "getgroups32 setgroups setgroups32",
    // Signals and their descriptors.
    "rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn "
    "rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo "
    "sigaction sigaltstack signal signalfd signalfd4 sigpending sigprocmask "
    "sigreturn sigsuspend pause alarm eventfd eventfd2",
    // Time. Those that can also set a clock are refused by the kernel without
    // CAP_SYS_TIME; reading with them is common.
    "time gettimeofday clock_gettime clock_gettime64 clock_getres "
    "clock_getres_time64 clock_nanosleep clock_nanosleep_time64 nanosleep "
    "adjtimex clock_adjtime clock_adjtime64 getitimer setitimer timer_create "
    "timer_delete timer_getoverrun timer_gettime timer_gettime64 "
    "timer_settime timer_settime64 timerfd_create timerfd_gettime "
    "timerfd_gettime64 timerfd_settime timerfd_settime64",
    // Waiting for events, and asynchronous files of the old kind.
    "poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 "
    "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait "
    "epoll_wait_old epoll_pwait epoll_pwait2 futex futex_time64 futex_waitv "
    "futex_wake futex_wait futex_requeue io_setup io_submit io_cancel "
    "io_destroy io_getevents io_pgetevents io_pgetevents_time64",
    // System V and POSIX IPC: the pod's own namespace.
    "ipc msgctl msgget msgrcv msgsnd semctl semget semop semtimedop "
    "semtimedop_time64 shmat shmctl shmdt shmget mq_open mq_unlink mq_notify "
    "mq_getsetattr mq_timedreceive mq_timedreceive_time64 mq_timedsend "
    "mq_timedsend_time64",
    // Sockets; those that make one have rules below.
    "bind connect listen accept accept4 getsockname getpeername getsockopt "
    "setsockopt shutdown send sendto sendmsg sendmmsg recv recvfrom recvmsg "
    "recvmmsg recvmmsg_time64",
    "getrandom",
    // Of one processor: thread pointers, 16-bit segments, caches.
    "arch_prctl modify_ldt cacheflush breakpoint",
};

// Families of sockets: the network of the pod, and within a node. Not
// AF_ALG (kernel crypto: privilege escalations), AF_VSOCK (the hypervisor,
// which knows no network namespaces), nor the rest, which few machines need
// and whose modules the kernel would load on demand. socketpair(2) reaches the
// code of a family, and loads its module, as socket(2) does, even where it
// then refuses: it has the same list. Compared for equality: the calls look at
// 32 bits of a 64-bit register, and with "not 40" a set bit 32 would let 40
// through.
constexpr uint64_t kFamilies[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK,
                                  AF_PACKET};

// personality(2): how programs of other systems or older kernels start, and
// the question. Not those that take protection off, such as a fixed address
// space.
constexpr uint64_t kPersonalities[] = {0x0,          // PER_LINUX
                                       0x8,          // PER_LINUX32
                                       0x20000,      // UNAME26
                                       0x20008,      // both
                                       0xffffffff};  // asks

// clone(2) uses the bit of CLONE_NEWTIME for something else.
constexpr uint64_t kCloneNamespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
constexpr uint64_t kUnshareNamespaces = kCloneNamespaces | CLONE_NEWTIME;

// ---- Allowed with a capability --------------------------------------------

// With any one of the capabilities: what the kernel asks for it anyway.
// Without, the call is not only refused but never reached, so that its bugs
// cannot be either.
struct Privileged {
  std::initializer_list<int> any_of;
  const char* names;
};
const Privileged kPrivileged[] = {
    {{CAP_SYS_ADMIN},
     // Mounts, old and new calls.
     "mount umount umount2 pivot_root open_tree open_tree_attr move_mount "
     "fsopen fsconfig fsmount fspick mount_setattr statmount listmount "
     // Namespaces with whatever flags.
     "clone clone3 unshare setns sethostname setdomainname "
     "quotactl quotactl_fd fanotify_init fanotify_mark"},
    {{CAP_SYS_ADMIN, CAP_BPF}, "bpf"},
    {{CAP_SYS_ADMIN, CAP_PERFMON}, "perf_event_open"},
    {{CAP_SYS_ADMIN, CAP_SYSLOG}, "syslog"},
    {{CAP_DAC_READ_SEARCH}, "open_by_handle_at"},
    {{CAP_SYS_BOOT}, "reboot"},
    {{CAP_SYS_CHROOT}, "chroot"},
    {{CAP_SYS_MODULE}, "init_module finit_module delete_module"},
    {{CAP_SYS_NICE},
     "get_mempolicy set_mempolicy set_mempolicy_home_node mbind move_pages "
     "migrate_pages"},
    {{CAP_SYS_PACCT}, "acct"},
    // Other processes' memory and descriptors.
    {{CAP_SYS_PTRACE},
     "process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp"},
    {{CAP_SYS_RAWIO}, "iopl ioperm"},
    {{CAP_SYS_TIME}, "settimeofday stime clock_settime clock_settime64"},
    {{CAP_SYS_TTY_CONFIG}, "vhangup"},
};

// ---- Never, and how that is said ------------------------------------------

// EPERM, because nothing above names them: add_key, keyctl, request_key (keys
// are not namespaced), io_uring_* (calls that no filter sees), userfaultfd
// (stops the kernel at a moment of choice), kexec_*, swapon, swapoff,
// nfsservctl, _sysctl, uselib, ustat, sysfs, vm86, vm86old, lookup_dcookie,
// and every other call that no table names.

// ENOSYS: C libraries and tools try them first and then do without. clone3
// hides its flags in memory, where no filter can look (without CAP_SYS_ADMIN).
constexpr char kMissingUnlessAdmin[] = "clone3 statmount listmount";
constexpr char kMissing[] =
    "lsm_get_self_attr lsm_set_self_attr lsm_list_modules file_getattr "
    "file_setattr";

// ---- The table as a profile -----------------------------------------------

constexpr Action kAllow = {ActionKind::kAllow, 0};
constexpr Action kNotThere = {ActionKind::kErrno, ENOSYS};

Rule& Add(Profile* profile, const char* names, const Action& action) {
  Rule rule;
  rule.names = absl::StrSplit(names, ' ');
  rule.action = action;
  profile->rules.push_back(std::move(rule));
  return profile->rules.back();
}

void AllowValue(Profile* profile, const char* name, uint64_t value) {
  Add(profile, name, kAllow).arguments = {{0, Comparison::kEqual, value, 0}};
}

// Unless a bit of `mask` is set in the first argument.
void AllowWithout(Profile* profile, const char* name, uint64_t mask) {
  Rule& rule = Add(profile, name, kAllow);
  rule.arguments = {{0, Comparison::kMaskedEqual, mask, 0}};
  rule.excludes.capabilities = uint64_t{1} << CAP_SYS_ADMIN;
}

Profile Make() {
  Profile profile;
  profile.default_action = {ActionKind::kErrno, EPERM};
  profile.architectures = {SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32,
                           SCMP_ARCH_AARCH64, SCMP_ARCH_ARM};
  profile.newer_calls_are_missing = true;
  for (const char* names : kAllowed) Add(&profile, names, kAllow);
  for (const uint64_t family : kFamilies) {
    AllowValue(&profile, "socket", family);
    AllowValue(&profile, "socketpair", family);
  }
  for (const uint64_t persona : kPersonalities) {
    AllowValue(&profile, "personality", persona);
  }
  AllowWithout(&profile, "clone", kCloneNamespaces);
  AllowWithout(&profile, "unshare", kUnshareNamespaces);
  for (const Privileged& group : kPrivileged) {
    for (const int capability : group.any_of) {
      Add(&profile, group.names, kAllow).includes.capabilities = uint64_t{1}
                                                                 << capability;
    }
  }
  Add(&profile, kMissingUnlessAdmin, kNotThere).excludes.capabilities =
      uint64_t{1} << CAP_SYS_ADMIN;
  Add(&profile, kMissing, kNotThere);
  return profile;
}

}  // namespace

const Profile& RuntimeDefault() {
  static const Profile* const profile = new Profile(Make());
  return *profile;
}

}  // namespace warren::seccomp
