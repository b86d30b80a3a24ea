// Processes, IPC objects, sockets and keys of others.
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include "tests/support/escape/attempts.h"

namespace warren::escape {
namespace {

int Kill(const Target& target) { return Refusal(kill(target.pid, 0)); }
int PidfdOpen(const Target& target) {
  return Refusal(syscall(SYS_pidfd_open, target.pid, 0));
}
int Ptrace(const Target& target) {
  return Refusal(ptrace(PTRACE_SEIZE, target.pid, nullptr, nullptr));
}
int VmRead(const Target& target) {
  char byte;
  iovec local = {&byte, 1};
  iovec remote = {reinterpret_cast<void*>(0x400000), 1};
  const ssize_t n = process_vm_readv(target.pid, &local, 1, &remote, 1, 0);
  // A bad address, but of a process that may be read.
  return n < 0 && errno == EFAULT ? 0 : Refusal(n);
}
int ProcMem(const Target& target) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/mem", target.pid);
  return TryOpen(path, O_RDWR);
}
int ProcEnviron(const Target& target) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/environ", target.pid);
  return TryRead(path);
}
int Prlimit(const Target& target) {
  rlimit limit = {};
  return Refusal(
      syscall(SYS_prlimit64, target.pid, RLIMIT_NOFILE, nullptr, &limit));
}
// Its own priority and limits.
int Nice(const Target&) { return Refusal(setpriority(PRIO_PROCESS, 0, -10)); }
int RealTime(const Target&) {
  const sched_param param = {.sched_priority = 1};
  return Refusal(sched_setscheduler(0, SCHED_FIFO, &param));
}
int RaiseLimit(const Target&) {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return errno;
  if (limit.rlim_max == RLIM_INFINITY) return 0;
  ++limit.rlim_max;
  return Refusal(setrlimit(RLIMIT_NOFILE, &limit));
}

// Any descriptor but the three streams leads somewhere.
int Leftovers(const Target&) {
  for (int fd = 3; fd < 4096; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) return 0;
  }
  return EBADF;
}

int Shm(const Target& target) { return Refusal(shmget(target.shm_key, 0, 0)); }

int Abstract(const Target& target) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const size_t length = strlen(target.abstract);
  memcpy(address.sun_path + 1, target.abstract, length);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return Refusal(connect(
      fd, reinterpret_cast<const sockaddr*>(&address),
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length)));
}

int Socket(int family, int type) { return Refusal(socket(family, type, 0)); }
int Vsock(const Target&) { return Socket(AF_VSOCK, SOCK_STREAM); }
int Alg(const Target&) { return Socket(AF_ALG, SOCK_SEQPACKET); }

// A link more in the network namespace this process is in.
int NewLink(const Target&) {
  struct {
    nlmsghdr head;
    ifinfomsg info;
    rtattr link_info;
    rtattr kind;
    char name[8];
  } message = {};
  message.head.nlmsg_len = sizeof(message);
  message.head.nlmsg_type = RTM_NEWLINK;
  message.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
  message.link_info = {sizeof(rtattr) * 2 + 8, IFLA_LINKINFO};
  message.kind = {sizeof(rtattr) + 7, IFLA_INFO_KIND};
  memcpy(message.name, "bridge", 7);
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return errno;
  if (send(fd, &message, sizeof(message), 0) < 0) return errno;
  struct {
    nlmsghdr head;
    nlmsgerr error;
    char rest[512];
  } reply = {};
  if (recv(fd, &reply, sizeof(reply), 0) < 0) return errno;
  return -reply.error.error;
}

// A key that the node's root has, through every keyring this process has.
int SessionKey(const Target&) {
  return Refusal(syscall(SYS_request_key, "user", "warren-canary", nullptr, 0));
}
int UserKey(const Target&) {
  return Refusal(syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING,
                         "user", "warren-canary", 0));
}
int AddKey(const Target&) {
  const long key =
      syscall(SYS_add_key, "user", "planted", "x", 1, KEY_SPEC_USER_KEYRING);
  if (key > 0) syscall(SYS_keyctl, KEYCTL_REVOKE, key);
  return Refusal(key);
}

// Input pushed into a terminal is typed by whoever uses it next.
int PushInput(const Target&) {
  const int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
  if (tty < 0) return errno;
  return Refusal(ioctl(tty, TIOCSTI, "x"));
}

constexpr Attempt kAttempts[] = {
    {"kill", Kill},
    {"pidfd-open", PidfdOpen},
    {"ptrace", Ptrace},
    {"process-vm-readv", VmRead},
    {"proc-mem", ProcMem},
    {"proc-environ", ProcEnviron},
    {"prlimit", Prlimit},
    {"nice", Nice},
    {"real-time", RealTime},
    {"raise-limit", RaiseLimit},
    {"leftover-descriptors", Leftovers},
    {"sysv-shm", Shm},
    {"abstract-socket", Abstract},
    {"af-vsock", Vsock},
    {"af-alg", Alg},
    {"new-link", NewLink},
    {"session-key", SessionKey},
    {"user-key", UserKey},
    {"add-key", AddKey},
    {"tiocsti", PushInput},
};

}  // namespace

std::span<const Attempt> ProcessAttempts() { return kAttempts; }

}  // namespace warren::escape
