// Files of proc, sys and dev through which a container would reach the node.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "tests/support/escape/attempts.h"

namespace warren::escape {
namespace {

constexpr char kCgroups[] = "/sys/fs/cgroup";

// The weakest refusal of `name` in every hierarchy, and of the directory
// itself.
template <typename Try>
int InEveryCgroup(const char* name, Try try_it) {
  char path[512];
  snprintf(path, sizeof(path), "%s/%s", kCgroups, name);
  int error = try_it(path);
  DIR* directory = opendir(kCgroups);
  if (directory == nullptr) return error;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof(path), "%s/%s/%s", kCgroups, entry->d_name, name);
    const int other = try_it(path);
    if (other == ENOTDIR) continue;  // a control file of cgroup v2's root
    if (other == 0 || error == ENOENT) error = other;
    if (error == 0) break;
  }
  closedir(directory);
  return error;
}

int ReleaseAgent(const Target&) {
  return InEveryCgroup("release_agent",
                       [](const char* p) { return TryWrite(p, "/x\n"); });
}
int NotifyOnRelease(const Target&) {
  return InEveryCgroup("notify_on_release",
                       [](const char* p) { return TryWrite(p, "1\n"); });
}
int CgroupProcs(const Target&) {
  return InEveryCgroup("cgroup.procs",
                       [](const char* p) { return TryWrite(p, "0\n"); });
}
int CgroupOfParent(const Target&) {
  return InEveryCgroup("../cgroup.procs",
                       [](const char* p) { return TryWrite(p, "0\n"); });
}
int CgroupDirectory(const Target&) {
  return InEveryCgroup("made",
                       [](const char* p) { return Refusal(mkdir(p, 0755)); });
}
int DevicesAllow(const Target&) {
  return TryWrite("/sys/fs/cgroup/devices/devices.allow", "a\n");
}
int CorePattern(const Target&) {
  return TryWrite("/proc/sys/kernel/core_pattern", "|/escaped\n");
}
int Modprobe(const Target&) {
  return TryWrite("/proc/sys/kernel/modprobe", "/escaped\n");
}
int Sysctl(const Target&) { return TryWrite("/proc/sys/kernel/panic", "77\n"); }
int UeventHelper(const Target&) {
  return TryWrite("/sys/kernel/uevent_helper", "/escaped\n");
}
int Uevent(const Target&) {
  return TryWrite("/sys/class/mem/null/uevent", "change\n");
}
int BinfmtRegister(const Target&) {
  return TryOpen("/proc/sys/fs/binfmt_misc/register", O_WRONLY);
}
// What follows is not written to: opening it is bad enough.
int SysrqTrigger(const Target&) {
  return TryOpen("/proc/sysrq-trigger", O_WRONLY);
}
int PowerState(const Target&) { return TryOpen("/sys/power/state", O_WRONLY); }
int IrqAffinity(const Target&) {
  return TryOpen("/proc/irq/default_smp_affinity", O_WRONLY);
}
int HugePages(const Target&) {
  return TryOpen("/sys/kernel/mm/transparent_hugepage/enabled", O_WRONLY);
}
int Kcore(const Target&) { return TryRead("/proc/kcore"); }
int Kmem(const Target&) { return TryRead("/proc/kmem"); }
int KernelKeys(const Target&) { return TryRead("/proc/keys"); }
int TimerList(const Target&) { return TryRead("/proc/timer_list"); }
int Firmware(const Target&) {
  DIR* directory = opendir("/sys/firmware");
  if (directory == nullptr) return errno;
  int error = ENODATA;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.') error = 0;
  }
  closedir(directory);
  return error;
}

// A node of one's own, on every file system that might let it be opened.
int OpenNode(mode_t type, unsigned major, unsigned minor) {
  int error = ENOENT;
  for (const char* path : {"/tmp/node", "/dev/node", "/dev/shm/node"}) {
    if (mknod(path, type | 0600, makedev(major, minor)) != 0) {
      error = errno;
      continue;
    }
    error = TryOpen(path, O_RDWR);
    if (error != 0) error = TryOpen(path, O_RDONLY);
    unlink(path);
    if (error == 0) return 0;
  }
  return error;
}
int DevMem(const Target&) { return OpenNode(S_IFCHR, 1, 1); }
int DevKmsg(const Target&) { return OpenNode(S_IFCHR, 1, 11); }
int DevLoop(const Target&) { return OpenNode(S_IFCHR, 10, 237); }
int DevKvm(const Target&) { return OpenNode(S_IFCHR, 10, 232); }
int DevTun(const Target&) { return OpenNode(S_IFCHR, 10, 200); }
int Disk(const Target& target) {
  return OpenNode(S_IFBLK, target.disk_major, target.disk_minor);
}
int OomScore(const Target&) {
  return TryWrite("/proc/self/oom_score_adj", "-1000\n");
}
int LastPid(const Target&) {
  return TryWrite("/proc/sys/kernel/ns_last_pid", "5\n");
}
// The probe is a file of the node, bound into the container read-only.
int OwnProgram(const Target&) { return TryOpen("/proc/self/exe", O_RDWR); }

constexpr Attempt kAttempts[] = {
    {"cgroup-release-agent", ReleaseAgent},
    {"cgroup-notify-on-release", NotifyOnRelease},
    {"cgroup-procs", CgroupProcs},
    {"cgroup-procs-of-parent", CgroupOfParent},
    {"cgroup-mkdir", CgroupDirectory},
    {"cgroup-devices-allow", DevicesAllow},
    {"core-pattern", CorePattern},
    {"modprobe", Modprobe},
    {"sysctl", Sysctl},
    {"ns-last-pid", LastPid},
    {"uevent-helper", UeventHelper},
    {"uevent", Uevent},
    {"binfmt-register", BinfmtRegister},
    {"sysrq-trigger", SysrqTrigger},
    {"power-state", PowerState},
    {"irq-affinity", IrqAffinity},
    {"huge-pages", HugePages},
    {"kcore", Kcore},
    {"kmem", Kmem},
    {"proc-keys", KernelKeys},
    {"timer-list", TimerList},
    {"firmware", Firmware},
    {"mknod-mem", DevMem},
    {"mknod-kmsg", DevKmsg},
    {"mknod-loop", DevLoop},
    {"mknod-kvm", DevKvm},
    {"mknod-tun", DevTun},
    {"mknod-disk", Disk},
    {"oom-score", OomScore},
    {"own-program", OwnProgram},
};

}  // namespace

std::span<const Attempt> FileAttempts() { return kAttempts; }

}  // namespace warren::escape
