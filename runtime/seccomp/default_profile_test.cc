#include "runtime/seccomp/default_profile.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>

#include <chrono>
#include <string>

#include "runtime/seccomp/capability_bit.h"
#include "runtime/seccomp/compiler.h"
#include "runtime/seccomp/filter_machine.h"
#include "runtime/seccomp/names.h"

namespace warren::seccomp {
namespace {

// The fourteen of a container that asks for nothing.
constexpr uint64_t kUsual = 0xa80425fb;

class RuntimeDefaultTest : public testing::Test {
 protected:
  void SetUp() override {
    if (seccomp_arch_native() != SCMP_ARCH_X86_64) {
      GTEST_SKIP() << "numbers below are those of x86_64";
    }
  }

  void Build(uint64_t capabilities) {
    auto host = ThisHost();
    ASSERT_TRUE(host.ok()) << host.status();
    host->x32 = true;
    auto program = Compile(RuntimeDefault(), capabilities, *host);
    ASSERT_TRUE(program.ok()) << program.status();
    program_ = *std::move(program);
  }

  std::string Call(const char* name,
                   std::initializer_list<uint64_t> arguments = {}) {
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) {
      number = static_cast<int>(NewerCallByName(name).value());
    }
    return Number(AUDIT_ARCH_X86_64, static_cast<uint32_t>(number), arguments);
  }
  std::string Number(uint32_t arch, uint32_t number,
                     std::initializer_list<uint64_t> arguments = {}) {
    return Describe(Evaluate(program_.instructions, arch, number, arguments));
  }

  Program program_;
};

TEST_F(RuntimeDefaultTest, EXE_7_WhatItBlocksWithTheUsualCapabilities) {
  Build(kUsual);
  for (const char* name : {"mount",
                           "umount2",
                           "move_mount",
                           "open_tree",
                           "fsopen",
                           "fsconfig",
                           "fsmount",
                           "fspick",
                           "mount_setattr",
                           "pivot_root",
                           "open_tree_attr",
                           "add_key",
                           "keyctl",
                           "request_key",
                           "bpf",
                           "perf_event_open",
                           "userfaultfd",
                           "io_uring_setup",
                           "io_uring_enter",
                           "io_uring_register",
                           "kexec_load",
                           "kexec_file_load",
                           "init_module",
                           "finit_module",
                           "delete_module",
                           "setns",
                           "process_vm_readv",
                           "process_vm_writev",
                           "process_madvise",
                           "pidfd_getfd",
                           "kcmp",
                           "open_by_handle_at",
                           "reboot",
                           "swapon",
                           "swapoff",
                           "acct",
                           "settimeofday",
                           "clock_settime",
                           "iopl",
                           "ioperm",
                           "vhangup",
                           "syslog",
                           "quotactl",
                           "fanotify_init",
                           "sethostname",
                           "setdomainname",
                           "lookup_dcookie",
                           "_sysctl",
                           "uselib",
                           "ustat",
                           "sysfs",
                           "mbind",
                           "move_pages",
                           "migrate_pages"}) {
    EXPECT_EQ(Call(name), "errno 1") << name;
  }
  for (const char* name : {"clone3", "statmount", "listmount",
                           "lsm_get_self_attr", "file_setattr"}) {
    EXPECT_EQ(Call(name), "errno 38") << name;
  }
  EXPECT_EQ(Number(AUDIT_ARCH_X86_64, kNewestCall + 1), "errno 38");
  EXPECT_EQ(Number(AUDIT_ARCH_I386, kNewestCall + 1), "errno 38");
  EXPECT_EQ(Number(AUDIT_ARCH_X86_64, 0x40000000 + kNewestCall + 1),
            "errno 38");
}

TEST_F(RuntimeDefaultTest, EXE_7_NamespacesNeedTheCapability) {
  Build(kUsual);
  const uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
                          CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS;
  EXPECT_EQ(Call("clone", {thread}), "allow");
  EXPECT_EQ(Call("clone", {17}), "allow");
  EXPECT_EQ(Call("unshare", {CLONE_FS | CLONE_FILES}), "allow");
  for (const uint64_t flag :
       {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER,
        CLONE_NEWPID, CLONE_NEWNET}) {
    EXPECT_EQ(Call("clone", {flag | 17}), "errno 1") << flag;
    EXPECT_EQ(Call("unshare", {flag}), "errno 1") << flag;
    EXPECT_EQ(Number(AUDIT_ARCH_I386, 120, {flag}), "errno 1") << flag;
    EXPECT_EQ(Number(AUDIT_ARCH_X86_64, 0x40000000 + 56, {flag}), "errno 1");
  }
  EXPECT_EQ(Call("unshare", {0x80 /* CLONE_NEWTIME */}), "errno 1");
  Build(kUsual | Bit(CAP_SYS_ADMIN));
  for (const char* name : {"clone3", "setns", "mount", "statmount",
                           "open_tree_attr", "bpf", "perf_event_open"}) {
    EXPECT_EQ(Call(name), "allow") << name;
  }
  EXPECT_EQ(Call("clone", {CLONE_NEWUSER}), "allow");
  EXPECT_EQ(Call("unshare", {CLONE_NEWUSER}), "allow");
  EXPECT_EQ(Call("keyctl"), "errno 1");
  EXPECT_EQ(Call("kexec_load"), "errno 1");
}

TEST_F(RuntimeDefaultTest, EXE_7_FamiliesOfSockets) {
  Build(kUsual);
  for (const uint64_t family :
       {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET}) {
    EXPECT_EQ(Call("socket", {family, SOCK_STREAM}), "allow") << family;
    EXPECT_EQ(Call("socketpair", {family, SOCK_STREAM}), "allow") << family;
  }
  for (const uint64_t family :
       {AF_ALG, AF_VSOCK, AF_KEY, AF_RDS, AF_TIPC, AF_XDP}) {
    EXPECT_EQ(Call("socket", {family}), "errno 1") << family;
    EXPECT_EQ(Call("socketpair", {family}), "errno 1") << family;
    EXPECT_EQ(Call("socketpair", {family | uint64_t{1} << 32}), "errno 1");
    EXPECT_EQ(Number(AUDIT_ARCH_I386, 360, {family}), "errno 1") << family;
    // The kernel looks at the lower half only.
    EXPECT_EQ(Call("socket", {family | uint64_t{1} << 32}), "errno 1");
    EXPECT_EQ(Number(AUDIT_ARCH_I386, 359, {family}), "errno 1") << family;
    EXPECT_EQ(Number(AUDIT_ARCH_X86_64, 0x40000000 + 41, {family}), "errno 1");
  }
  // socketcall(2): which family is in memory.
  EXPECT_EQ(Number(AUDIT_ARCH_I386, 102, {1}), "errno 1");
  EXPECT_EQ(Number(AUDIT_ARCH_I386, 102, {0x10001}), "errno 1");
  EXPECT_EQ(Number(AUDIT_ARCH_I386, 102, {8}), "errno 1");
  EXPECT_EQ(Number(AUDIT_ARCH_I386, 102, {3}), "allow");
  EXPECT_EQ(Number(AUDIT_ARCH_I386, 117, {23}), "allow");
}

TEST_F(RuntimeDefaultTest, WhatACapabilityBrings) {
  const struct {
    int capability;
    const char* call;
  } kTable[] = {{CAP_BPF, "bpf"},
                {CAP_PERFMON, "perf_event_open"},
                {CAP_SYSLOG, "syslog"},
                {CAP_DAC_READ_SEARCH, "open_by_handle_at"},
                {CAP_SYS_BOOT, "reboot"},
                {CAP_SYS_CHROOT, "chroot"},
                {CAP_SYS_MODULE, "finit_module"},
                {CAP_SYS_NICE, "mbind"},
                {CAP_SYS_PACCT, "acct"},
                {CAP_SYS_PTRACE, "process_vm_writev"},
                {CAP_SYS_RAWIO, "iopl"},
                {CAP_SYS_TIME, "clock_settime"},
                {CAP_SYS_TTY_CONFIG, "vhangup"}};
  for (const auto& [capability, call] : kTable) {
    Build(0);
    EXPECT_EQ(Call(call), "errno 1") << call;
    Build(Bit(capability));
    EXPECT_EQ(Call(call), "allow") << call;
  }
}

TEST_F(RuntimeDefaultTest, WhatProgramsNeedIsAllowed) {
  Build(kUsual);
  for (const char* name :
       {"read",         "openat2",     "mmap",
        "execve",       "exit_group",  "futex",
        "futex_waitv",  "fchmodat2",   "mseal",
        "rseq",         "getrandom",   "statx",
        "memfd_create", "membarrier",  "seccomp",
        "ptrace",       "chroot",      "landlock_restrict_self",
        "io_submit",    "shmget",      "mq_open",
        "modify_ldt",   "close_range", "faccessat2",
        "epoll_pwait2", "vfork"}) {
    EXPECT_EQ(Call(name), "allow") << name;
  }
  EXPECT_EQ(Number(AUDIT_ARCH_I386, 403), "allow") << "clock_gettime64";
  EXPECT_EQ(Number(AUDIT_ARCH_X86_64, 0x40000000 + 59), "errno 1")
      << "that number of x32 is another call's";
  EXPECT_EQ(Number(AUDIT_ARCH_X86_64, 0x40000000), "allow") << "x32 read";
  EXPECT_EQ(Call("personality", {0}), "allow");
  EXPECT_EQ(Call("personality", {0xffffffff}), "allow");
  EXPECT_EQ(Call("personality", {0x40000}), "errno 1") << "ADDR_NO_RANDOMIZE";
  EXPECT_EQ(Number(AUDIT_ARCH_AARCH64, 63), "errno 1") << "a foreign one";
}

TEST_F(RuntimeDefaultTest, ItIsSmallAndQuick) {
  const auto begin = std::chrono::steady_clock::now();
  Build(kUsual);
  const auto time = std::chrono::steady_clock::now() - begin;
  const size_t count = program_.instructions.size() / sizeof(sock_filter);
  size_t steps = 0;
  size_t worst = 0;
  for (uint32_t call = 0; call < 450; ++call) {
    const size_t n = Steps(program_.instructions, AUDIT_ARCH_X86_64, call);
    steps += n;
    worst = std::max(worst, n);
  }
  RecordProperty("instructions", static_cast<int>(count));
  RecordProperty("mean_steps", static_cast<int>(steps / 450));
  RecordProperty("worst_steps", static_cast<int>(worst));
  RecordProperty(
      "compile_us",
      static_cast<int>(
          std::chrono::duration_cast<std::chrono::microseconds>(time).count()));
  EXPECT_LT(count, 2000u);
  EXPECT_LT(steps / 450, 40u) << "a tree, not a list";
}

}  // namespace
}  // namespace warren::seccomp
