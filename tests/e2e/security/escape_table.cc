#include "tests/e2e/security/escape_table.h"

#include <absl/strings/str_split.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

namespace warren::test {
namespace {

constexpr EscapeRow kRows[] = {
    // Files. ENOENT: this kernel, or this cgroup namespace, has no such file.
    {"cgroup-release-agent", "EROFS ENOENT"},
    {"cgroup-notify-on-release", "EROFS ENOENT"},
    {"cgroup-procs", "EROFS"},
    {"cgroup-procs-of-parent", "EROFS ENOENT"},
    {"cgroup-mkdir", "EROFS"},
    {"cgroup-devices-allow", "EROFS ENOENT"},
    {"core-pattern", "EROFS"},
    {"modprobe", "EROFS ENOENT"},
    {"sysctl", "EROFS"},
    {"ns-last-pid", "EROFS ENOENT"},
    {"uevent-helper", "EROFS ENOENT"},
    {"uevent", "EROFS"},
    {"binfmt-register", "EROFS ENOENT"},
    {"sysrq-trigger", "EROFS ENOENT"},
    {"power-state", "EROFS ENOENT"},
    {"irq-affinity", "EROFS ENOENT"},
    {"huge-pages", "EROFS ENOENT"},
    {"kcore", "ENODATA ENOENT"},
    {"kmem", "ENOENT"},
    {"proc-keys", "ENODATA ENOENT"},
    {"timer-list", "ENODATA ENOENT"},
    {"firmware", "ENODATA ENOENT"},
    {"mknod-mem"},
    {"mknod-kmsg"},
    {"mknod-loop"},
    {"mknod-kvm"},
    {"mknod-tun"},
    {"mknod-disk"},
    {"oom-score"},
    {"own-program", "EROFS ETXTBSY"},
    // Mounts. In a user namespace with CAP_SYS_ADMIN new ones are the
    // container's; those that were made for it are locked (EINVAL, EPERM).
    {"mount-tmpfs", "", "u"},
    {"mount-proc"},
    {"mount-debugfs"},
    {"mount-tracefs"},
    {"mount-securityfs"},
    {"mount-binfmt-misc", "ENODEV", "u"},
    {"mount-devtmpfs"},
    {"mount-cgroup", "", "u"},
    {"mount-bind", "", "u"},
    {"remount"},
    {"umount", "EINVAL"},
    {"unmasked-sysctl", "EROFS"},
    {"unmasked-timer-list", "ENODATA ENOENT"},
    {"writable-cgroup"},
    {"pivot-root", "EINVAL"},
    {"open-tree", "", "u"},
    {"fsopen", "", "u"},
    {"fspick", "", "u"},
    {"move-mount", "EINVAL"},
    {"mount-setattr"},
    {"unshare-mount", "", "u"},
    {"unshare-user", "", "u", true},
    {"clone-user", "", "u", true},
    {"clone3-user", "", "u", true},
    {"setns-mount", "", "u"},
    {"setns-user", "EINVAL"},
    {"setns-net", "", "u"},
    {"setns-of-node", "ESRCH"},
    {"proc-root-walk", "ENOENT"},
    {"path-of-node", "ENOENT"},
    {"chroot-breakout", "ENOENT"},
    {"open-by-handle", "ENOENT ESTALE EOPNOTSUPP"},
    // Processes. With the node's pid namespace comes sight of them all.
    {"kill", "ESRCH", "p"},
    {"pidfd-open", "ESRCH", "p"},
    {"ptrace", "ESRCH"},
    {"process-vm-readv", "ESRCH"},
    {"proc-mem", "ENOENT"},
    {"proc-environ", "ENOENT"},
    {"prlimit", "ESRCH", "p"},
    {"nice"},
    {"real-time"},
    {"raise-limit"},
    {"leftover-descriptors", "EBADF"},
    {"sysv-shm", "ENOENT"},
    // With the node's network namespace come its abstract sockets.
    {"abstract-socket", "ECONNREFUSED", "n"},
    {"af-vsock", "EAFNOSUPPORT", "", true},
    {"af-alg", "EAFNOSUPPORT", "", true},
    {"new-link", "", "cu"},
    {"session-key", "ENOKEY"},
    {"user-key", "ENOKEY", "", true},
    {"add-key", "", "", true},
    {"tiocsti", "ENXIO EIO"},
    // The kernel.
    {"bpf"},
    {"perf-event-open", "", "u", true},
    {"userfaultfd", "", "", true},
    {"io-uring", "", "", true},
    {"kexec-load"},
    {"init-module"},
    {"finit-module"},
    {"delete-module"},
    {"settimeofday"},
    {"clock-settime"},
    {"adjtimex"},
    {"reboot", "EINVAL"},  // of a pid namespace of its own
    {"swapon"},
    {"swapoff"},
    {"quotactl", "ENOTBLK"},
    {"acct"},
    {"syslog", "", "", true},
    {"syslog-level"},
    {"iopl"},
    {"ioperm"},
    {"personality", "", "", true},
    {"sethostname", "", "u"},
    {"setdomainname", "", "u"},
    {"vhangup"},
    {"fanotify"},
    {"lookup-dcookie"},
};

}  // namespace

bool EscapeRow::IsGranted(char kind) const {
  return std::strchr(granted, kind) != nullptr;
}

bool EscapeRow::IsRefusal(const std::string& answer) const {
  if (answer == "EPERM" || answer == "EACCES" || answer == "ENOSYS") {
    return true;
  }
  const std::vector<std::string> others = absl::StrSplit(also, ' ');
  return !answer.empty() &&
         std::find(others.begin(), others.end(), answer) != others.end();
}

std::span<const EscapeRow> EscapeTable() { return kRows; }

}  // namespace warren::test
