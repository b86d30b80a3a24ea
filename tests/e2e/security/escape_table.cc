#include "tests/e2e/security/escape_table.h"

#include <absl/strings/str_split.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <vector>

namespace warren::test {
namespace {

constexpr EscapeRow kRows[] = {
    // Files. ENOENT: this kernel, or this cgroup namespace, has no such file.
    // Unmasked, a user namespace sees keys of its own and may set the last pid
    // of its own pid namespace; what is the node's has an owner it lacks.
    {"cgroup-release-agent", "EROFS ENOENT"},
    {"cgroup-notify-on-release", "EROFS ENOENT"},
    {"cgroup-procs", "EROFS"},
    {"cgroup-procs-of-parent", "EROFS ENOENT"},
    {"cgroup-mkdir", "EROFS"},
    {"cgroup-devices-allow", "EROFS ENOENT"},
    {"core-pattern", "EROFS"},
    {"modprobe", "EROFS ENOENT"},
    {"sysctl", "EROFS"},
    {"ns-last-pid", "EROFS ENOENT", "r"},
    {"uevent-helper", "EROFS ENOENT"},
    {"uevent", "EROFS"},
    {"binfmt-register", "EROFS ENOENT"},
    {"sysrq-trigger", "EROFS ENOENT"},
    {"power-state", "EROFS ENOENT"},
    {"irq-affinity", "EROFS ENOENT"},
    {"huge-pages", "EROFS ENOENT"},
    {"kcore", "ENODATA ENOENT"},
    {"kmem", "ENOENT"},
    {"proc-keys", "ENODATA ENOENT", "r"},
    {"timer-list", "ENODATA ENOENT"},
    {"firmware", "ENODATA ENOENT", "r"},
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
    {"mount-tmpfs", "", "ur"},
    {"mount-proc", "", "r"},  // needs one that nothing covers
    {"mount-debugfs"},
    {"mount-tracefs"},
    {"mount-securityfs"},
    {"mount-binfmt-misc", "ENODEV", "ur"},
    {"mount-devtmpfs"},
    {"mount-cgroup", "", "ur"},
    {"mount-bind", "", "ur"},
    {"remount", "", "r"},  // EINVAL: /proc/sys is no mount
    {"umount", "EINVAL"},
    {"unmasked-sysctl", "EROFS"},
    {"unmasked-timer-list", "ENODATA ENOENT"},
    {"writable-cgroup"},
    {"pivot-root", "EINVAL"},
    {"open-tree", "", "ur"},
    {"fsopen", "", "ur"},
    {"fspick", "", "ur"},
    {"move-mount", "EINVAL"},
    {"mount-setattr", "", "r"},  // likewise
    {"unshare-mount", "", "ur"},
    {"unshare-user", "", "ur", true},
    {"clone-user", "", "ur", true},
    {"clone3-user", "", "ur", true},
    {"setns-mount", "", "ur"},
    {"setns-user", "EINVAL"},
    {"setns-net", "", "ur"},
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
    {"new-link", "", "cur"},
    {"session-key", "ENOKEY"},
    {"user-key", "ENOKEY", "", true},
    {"add-key", "", "", true},
    {"tiocsti", "ENXIO EIO"},
    // The kernel.
    {"bpf", "", "", true},  // where unprivileged_bpf_disabled is 0
    {"perf-event-open", "", "ur", true},
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
    {"sethostname", "", "ur"},
    {"setdomainname", "", "ur"},
    {"vhangup"},
    {"fanotify"},
    {"lookup-dcookie"},
};

// A capability of the node's user namespace, and what it is there for.
// SYS_ADMIN is not tried: without a user namespace it is the node, by request.
struct Grant {
  const char* capability;
  const char* attempts;
};
constexpr Grant kGrants[] = {
    {"BPF", "bpf"},
    {"NET_ADMIN", "new-link"},
    {"PERFMON", "perf-event-open"},
    {"SYSLOG", "syslog syslog-level"},
    {"SYS_MODULE", "init-module finit-module delete-module"},
    {"SYS_NICE", "nice real-time"},
    {"SYS_PACCT", "acct"},
    {"SYS_RAWIO", "iopl ioperm"},
    {"SYS_RESOURCE", "raise-limit oom-score"},
    {"SYS_TIME", "settimeofday clock-settime adjtimex"},
    {"SYS_TTY_CONFIG", "vhangup"},
};

}  // namespace

std::string EscapeMode::Name() const {
  return std::string{rights, pid} + (filter ? "-filter" : "-open");
}

std::vector<EscapeMode> EscapeModes() {
  std::vector<EscapeMode> modes;
  for (const char rights : {'d', 'x', 'c', 'u', 'r', 'n'}) {
    for (const char pid : {'o', 's', 't', 'p'}) {
      if (pid == 'p' && std::strchr("cur", rights) != nullptr) continue;
      if (rights != 'r') modes.push_back({rights, pid, true});
      modes.push_back({rights, pid, false});
    }
  }
  return modes;
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

std::set<std::string> GrantedTo(const EscapeMode& mode) {
  std::set<std::string> granted;
  for (const EscapeRow& row : kRows) {
    if (std::strchr(row.granted, mode.rights) != nullptr ||
        std::strchr(row.granted, mode.pid) != nullptr) {
      granted.insert(row.attempt);
    }
  }
  return granted;
}

std::set<std::string> GrantedBy(const std::string& capability) {
  for (const Grant& grant : kGrants) {
    if (capability == grant.capability) {
      return absl::StrSplit(grant.attempts, ' ');
    }
  }
  return {};
}

}  // namespace warren::test
