#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "runtime/shim/exec_session.h"

namespace warren::shim {
namespace {

// A file with the numbers of processes, as cgroup.procs has them.
base::UniqueFd ListOf(pid_t pid) {
  base::UniqueFd fd(memfd_create("procs", MFD_CLOEXEC));
  const std::string text = std::to_string(pid) + "\n";
  EXPECT_EQ(write(fd.get(), text.data(), text.size()),
            static_cast<ssize_t>(text.size()));
  return fd;
}

// No new descriptor can be had while it lives.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const base::UniqueFd next(dup(STDIN_FILENO));
    rlimit limit = before_;
    limit.rlim_cur = static_cast<rlim_t>(next.get());
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_ = {};
};

TEST(SignalSession, REL_2_WhatCannotBeLookedAtMayBeAlive) {
  const base::UniqueFd proc(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  ASSERT_GT(child, 0);
  const base::UniqueFd list = ListOf(child);
  {
    const NoDescriptors none;
    EXPECT_NE(SignalSession(proc.get(), list.get(), child, SIGKILL), 0);
  }
  EXPECT_EQ(SignalSession(proc.get(), list.get(), child, SIGKILL), 1);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(SignalSession(proc.get(), list.get(), child, SIGKILL), 0)
      << "proven to be gone";
}

}  // namespace
}  // namespace warren::shim
