// Calls that change or read the kernel. Where one would do harm it is made so
// that it does none even if it is let through.
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/quota.h>
#include <linux/reboot.h>
#include <linux/userfaultfd.h>
#include <sys/fanotify.h>
#include <sys/io.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/quota.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "tests/support/escape/attempts.h"

namespace warren::escape {
namespace {

int BpfMap(const Target&) {
  bpf_attr attr = {};
  attr.map_type = BPF_MAP_TYPE_ARRAY;
  attr.key_size = 4;
  attr.value_size = 4;
  attr.max_entries = 1;
  return Refusal(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}
int PerfEvent(const Target&) {
  perf_event_attr attr = {};
  attr.size = sizeof(attr);
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_TASK_CLOCK;
  attr.exclude_kernel = 1;
  attr.exclude_hv = 1;
  return Refusal(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}
int Userfaultfd(const Target&) {
  return Refusal(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY));
}
int IoUring(const Target&) {
  io_uring_params params = {};
  return Refusal(syscall(SYS_io_uring_setup, 1, &params));
}
int KexecLoad(const Target&) {
  return Refusal(syscall(SYS_kexec_load, 0, 0, nullptr, 0));
}
int InitModule(const Target&) {
  return Refusal(syscall(SYS_init_module, "", 0, ""));
}
int FinitModule(const Target&) {
  return Refusal(syscall(SYS_finit_module, 0, "", 0));
}
int DeleteModule(const Target&) {
  return Refusal(syscall(SYS_delete_module, "warren_none", O_NONBLOCK));
}
// The time it is.
int Settimeofday(const Target&) {
  timeval now = {};
  gettimeofday(&now, nullptr);
  return Refusal(settimeofday(&now, nullptr));
}
int ClockSettime(const Target&) {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  return Refusal(clock_settime(CLOCK_REALTIME, &now));
}
int Adjtimex(const Target&) {
  timex change = {};
  change.modes = ADJ_OFFSET_SINGLESHOT & ~0x4000;  // by no microsecond
  return Refusal(adjtimex(&change));
}
int Reboot(const Target&) {
  return Refusal(syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
                         LINUX_REBOOT_CMD_CAD_OFF, nullptr));
}
int Swapon(const Target&) { return Refusal(swapon("/dev/null", 0)); }
int Swapoff(const Target&) { return Refusal(swapoff("/dev/null")); }
int Quotactl(const Target&) {
  return Refusal(quotactl(QCMD(Q_QUOTAON, USRQUOTA), "/dev/null", 0,
                          const_cast<char*>("/x")));
}
int Acct(const Target&) { return Refusal(acct("/tmp/acct")); }
int Syslog(const Target&) {
  char text[256];
  return Refusal(klogctl(3, text, sizeof(text)));  // SYSLOG_ACTION_READ_ALL
}
// The level it is.
int SyslogLevel(const Target&) {
  int level = 7;
  if (FILE* file = fopen("/proc/sys/kernel/printk", "re"); file != nullptr) {
    if (fscanf(file, "%d", &level) != 1) level = 7;
    fclose(file);
  }
  return Refusal(klogctl(8, nullptr, level));  // SYSLOG_ACTION_CONSOLE_LEVEL
}
#ifdef __x86_64__
int Iopl(const Target&) { return Refusal(iopl(3)); }
int Ioperm(const Target&) { return Refusal(ioperm(0x80, 1, 1)); }
#endif
int Personality(const Target&) {
  return Refusal(personality(READ_IMPLIES_EXEC));
}
int Sethostname(const Target&) { return Refusal(sethostname("escaped", 7)); }
int Setdomainname(const Target&) {
  return Refusal(setdomainname("escaped", 7));
}
int Vhangup(const Target&) { return Refusal(vhangup()); }
int Fanotify(const Target&) {
  return Refusal(fanotify_init(FAN_CLASS_CONTENT, O_RDONLY));
}
int LookupDcookie(const Target&) {
#ifdef SYS_lookup_dcookie
  char text[64];
  return Refusal(syscall(SYS_lookup_dcookie, 1, text, sizeof(text)));
#else
  return ENOSYS;
#endif
}

constexpr Attempt kAttempts[] = {
    {"bpf", BpfMap},
    {"perf-event-open", PerfEvent},
    {"userfaultfd", Userfaultfd},
    {"io-uring", IoUring},
    {"kexec-load", KexecLoad},
    {"init-module", InitModule},
    {"finit-module", FinitModule},
    {"delete-module", DeleteModule},
    {"settimeofday", Settimeofday},
    {"clock-settime", ClockSettime},
    {"adjtimex", Adjtimex},
    {"reboot", Reboot},
    {"swapon", Swapon},
    {"swapoff", Swapoff},
    {"quotactl", Quotactl},
    {"acct", Acct},
    {"syslog", Syslog},
    {"syslog-level", SyslogLevel},
#ifdef __x86_64__
    {"iopl", Iopl},
    {"ioperm", Ioperm},
#endif
    {"personality", Personality},
    {"sethostname", Sethostname},
    {"setdomainname", Setdomainname},
    {"vhangup", Vhangup},
    {"fanotify", Fanotify},
    {"lookup-dcookie", LookupDcookie},
};

}  // namespace

std::span<const Attempt> KernelAttempts() { return kAttempts; }

}  // namespace warren::escape
