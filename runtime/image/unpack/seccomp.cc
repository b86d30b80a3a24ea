#include "runtime/image/unpack/seccomp.h"

#include <absl/strings/str_cat.h>
#include <seccomp.h>
#include <sys/mman.h>

#include <memory>

#include "runtime/base/status.h"

namespace warren::image {
namespace {

constexpr int kAllowed[] = {
    SCMP_SYS(read),         SCMP_SYS(write),           SCMP_SYS(pwrite64),
    SCMP_SYS(close),        SCMP_SYS(fstat),           SCMP_SYS(newfstatat),
    SCMP_SYS(openat2),      SCMP_SYS(mkdirat),         SCMP_SYS(mknodat),
    SCMP_SYS(symlinkat),    SCMP_SYS(linkat),          SCMP_SYS(unlinkat),
    SCMP_SYS(readlinkat),   SCMP_SYS(getdents64),      SCMP_SYS(fgetxattr),
    SCMP_SYS(fchown),       SCMP_SYS(fchownat),        SCMP_SYS(fchmod),
    SCMP_SYS(fsetxattr),    SCMP_SYS(utimensat),       SCMP_SYS(ftruncate),
    SCMP_SYS(munmap),       SCMP_SYS(mremap),          SCMP_SYS(brk),
    SCMP_SYS(madvise),      SCMP_SYS(futex),           SCMP_SYS(getrandom),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

}  // namespace

absl::Status LoadSeccompFilter() {
  const std::unique_ptr<void, void (*)(scmp_filter_ctx)> filter(
      seccomp_init(SCMP_ACT_KILL_PROCESS), seccomp_release);
  if (filter == nullptr) return base::ErrnoError(ENOMEM, "seccomp_init");
  for (const int call : kAllowed) {
    const int result = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0);
    if (result != 0) {
      return base::ErrnoError(-result, absl::StrCat("seccomp rule ", call));
    }
  }
  // Memory, but none that can be executed.
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    const int result =
        seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 1,
                         SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (result != 0) return base::ErrnoError(-result, "seccomp memory rule");
  }
  const int result = seccomp_load(filter.get());
  if (result != 0) return base::ErrnoError(-result, "seccomp_load");
  return absl::OkStatus();
}

}  // namespace warren::image
