#include "tests/support/probe_calls.h"

#include <linux/sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace warren::test {
namespace {

constexpr long kBad = 1;             // no address
constexpr long kFlags = 0xfffffff0;  // that nobody knows
constexpr long kStatmount = 457;     // younger than the headers
constexpr long kListmount = 458;
constexpr long kOpenTreeAttr = 467;
constexpr long kNewest = 2000;  // nobody's

struct Call {
  const char* name;
  long number;
  long arguments[6];
};

const Call kCalls[] = {
    {"mount", SYS_mount, {kBad, kBad, kBad, 0, kBad}},
    {"umount2", SYS_umount2, {kBad, kFlags}},
    {"pivot_root", SYS_pivot_root, {kBad, kBad}},
    {"move_mount", SYS_move_mount, {-1, kBad, -1, kBad, kFlags}},
    {"open_tree", SYS_open_tree, {-1, kBad, kFlags}},
    {"open_tree_attr", kOpenTreeAttr, {-1, kBad, kFlags}},
    {"fsopen", SYS_fsopen, {kBad, kFlags}},
    {"fsconfig", SYS_fsconfig, {-1, 99}},
    {"fsmount", SYS_fsmount, {-1, kFlags}},
    {"fspick", SYS_fspick, {-1, kBad, kFlags}},
    {"mount_setattr", SYS_mount_setattr, {-1, kBad, kFlags}},
    {"statmount", kStatmount, {kBad, kBad, 0, kFlags}},
    {"listmount", kListmount, {kBad, kBad, 0, kFlags}},
    {"clone_user", SYS_clone, {CLONE_NEWUSER | CLONE_FS}},
    {"clone_mnt", SYS_clone, {CLONE_NEWNS | CLONE_FS}},
    {"clone3", SYS_clone3, {0, 0}},
    {"unshare_user", SYS_unshare, {CLONE_NEWUSER | 1}},
    {"unshare_net", SYS_unshare, {CLONE_NEWNET | 1}},
    {"setns", SYS_setns, {-1, 0}},
    {"socket_alg", SYS_socket, {AF_ALG, SOCK_SEQPACKET}},
    {"socket_vsock", SYS_socket, {AF_VSOCK, SOCK_STREAM}},
    {"socket_vsock_high", SYS_socket, {AF_VSOCK | 1L << 32, SOCK_STREAM}},
    {"add_key", SYS_add_key, {kBad, kBad}},
    {"request_key", SYS_request_key, {kBad, kBad}},
    {"keyctl", SYS_keyctl, {99}},
    {"bpf", SYS_bpf, {9999, 0, 0}},
    {"perf_event_open", SYS_perf_event_open, {kBad, 0, -1, -1}},
    {"userfaultfd", SYS_userfaultfd, {kFlags}},
    {"io_uring_setup", SYS_io_uring_setup, {0, kBad}},
    {"io_uring_enter", SYS_io_uring_enter, {-1, 0, 0, kFlags}},
    {"io_uring_register", SYS_io_uring_register, {-1, 9999}},
    {"kexec_load", SYS_kexec_load, {0, 99, kBad, kFlags}},
    {"kexec_file_load", SYS_kexec_file_load, {-1, -1, 0, 0, kFlags}},
    {"init_module", SYS_init_module, {kBad, 0, kBad}},
    {"finit_module", SYS_finit_module, {-1, kBad, kFlags}},
    {"delete_module", SYS_delete_module, {kBad, 0}},
    {"process_vm_readv", SYS_process_vm_readv, {1, 0, 0, 0, 0, 1}},
    {"process_vm_writev", SYS_process_vm_writev, {1, 0, 0, 0, 0, 1}},
    {"process_madvise", SYS_process_madvise, {-1, 0, 0, 0, kFlags}},
    {"pidfd_getfd", SYS_pidfd_getfd, {-1, -1, kFlags}},
    {"kcmp", SYS_kcmp, {1, 1, 99}},
    {"open_by_handle_at", SYS_open_by_handle_at, {-1, kBad, 0}},
    {"reboot", SYS_reboot, {0, 0, 0}},
    {"swapon", SYS_swapon, {kBad, kFlags}},
    {"swapoff", SYS_swapoff, {kBad}},
    {"acct", SYS_acct, {kBad}},
    {"clock_settime", SYS_clock_settime, {0, kBad}},
    {"settimeofday", SYS_settimeofday, {kBad, kBad}},
    {"syslog", SYS_syslog, {99}},
    {"fanotify_init", SYS_fanotify_init, {kFlags}},
    {"sethostname", SYS_sethostname, {kBad, -1}},
    {"setdomainname", SYS_setdomainname, {kBad, -1}},
    {"mbind", SYS_mbind, {kBad, 1, 99, 0, 0, kFlags}},
    {"move_pages", SYS_move_pages, {1, 1, kBad, kBad, kBad, kFlags}},
    {"newest", kNewest, {}},
};

// 0, or the errno.
int Make(long number, const long* a) {
  errno = 0;
  return syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]) < 0 ? errno : 0;
}

}  // namespace

int TryBlockedCalls() {
  for (const Call& call : kCalls) {
    std::printf("%s %d\n", call.name, Make(call.number, call.arguments));
  }
  return 0;
}

int TryCall(int count, char** numbers) {
  long arguments[7] = {};
  for (int i = 0; i < count && i < 7; ++i) {
    arguments[i] = static_cast<long>(std::strtoull(numbers[i], nullptr, 0));
  }
  std::printf("%d\n", Make(arguments[0], arguments + 1));
  return 0;
}

}  // namespace warren::test
