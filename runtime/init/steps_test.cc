// Steps that are a second line of defence: as long as the first one holds, no
// test of a whole container could tell that they are missing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <iterator>
#include <string>

#include "runtime/init/context.h"
#include "runtime/init/init.h"

namespace warren::init {
namespace {

const Step* Find(const char* name) {
  size_t count = 0;
  const Step* steps = Steps(&count);
  for (size_t i = 0; i < count; ++i) {
    if (strcmp(steps[i].name, name) == 0) return &steps[i];
  }
  return nullptr;
}

// What `work` returns in a process of its own.
template <typename Work>
int InAChild(Work work) {
  const pid_t pid = fork();
  if (pid == 0) _exit(work());
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

TEST(Steps, EXE_3_WhatIsNotCloseOnExecIsClosedAsWell) {
  EXPECT_EQ(InAChild([] {
              int ends[2];
              // NOLINTNEXTLINE(android-cloexec-pipe2): it is about these
              if (pipe2(ends, 0) != 0) return 1;
              const int high = fcntl(ends[0], F_DUPFD, 500);
              const int alive = fcntl(ends[1], F_DUPFD, 100);
              const int report = fcntl(ends[1], F_DUPFD, 101);
              if (high < 0 || alive < 0 || report < 0) return 2;
              Plan plan = {};
              plan.alive_fd = alive;
              Context context = {.plan = plan, .report_fd = report};
              if (Find("close_fds")->run(&context) != 0) return 3;
              for (int fd = 4; fd <= high; ++fd) {
                if (fcntl(fd, F_GETFD) >= 0) return 4;
              }
              return context.report_fd == -1 &&
                             fcntl(3, F_GETFD) == FD_CLOEXEC &&
                             fcntl(0, F_GETFD) == 0
                         ? 0
                         : 5;
            }),
            0);
}

// The order is what holds: a step that came after the last fork would be in
// sight of the container with what it still has.
TEST(Steps, EXE_2_EverythingButExecveComesBeforeTheLastFork) {
  size_t count = 0;
  const Step* steps = Steps(&count);
  ASSERT_GE(count, 3u);
  EXPECT_STREQ(steps[count - 1].name, "execve");
  EXPECT_STREQ(steps[count - 2].name, "enter");
  EXPECT_STREQ(steps[count - 3].name, "seccomp");
  for (size_t i = count - 3; i < count; ++i) {
    EXPECT_TRUE(steps[i].container && steps[i].exec) << steps[i].name;
  }
  // And in which order: each needs what a later one gives up.
  const char* kOrder[] = {
      "dumpable",     "keyring",     "oom_score_adj", "cgroup",
      "template",     "join_user",   "join_target",   "join_pid",
      "clone",        "tether",      "join",          "unshare",
      "rootfs",       "mount",       "pivot_root",    "cwd",
      "seal_rootfs",  "lock_mounts", "share_rootfs",  "stdio",
      "rlimits",      "labels",      "bounding",      "identity",
      "capabilities", "place_stdio", "no_new_privs",  "session",
      "close_fds",    "ready",       "seccomp",       "enter",
      "execve"};
  ASSERT_EQ(count, std::size(kOrder));
  for (size_t i = 0; i < count; ++i) EXPECT_STREQ(steps[i].name, kOrder[i]);
}

TEST(Steps, FS_4_InAUserNamespaceNothingStartsWithoutTheLock) {
  EXPECT_NE(InAChild([] {
              Plan plan = {};
              plan.user_fd = 0;
              plan.mount_lock_fd = -1;
              plan.proc_fd = open("/proc", O_PATH | O_CLOEXEC);
              if (plan.proc_fd < 0) return 0;
              Context context = {.plan = plan, .report_fd = -1};
              return Find("lock_mounts")->run(&context);
            }),
            0);
}

TEST(Steps, EXE_2_NothingIsDumpableFromTheFirstStepOn) {
  size_t count = 0;
  EXPECT_STREQ(Steps(&count)->name, "dumpable");
  EXPECT_EQ(InAChild([] {
              const Plan plan = {};
              Context context = {.plan = plan, .report_fd = -1};
              if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) return 1;
              if (Find("dumpable")->run(&context) != 0) return 2;
              return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : 3;
            }),
            0);
}

}  // namespace
}  // namespace warren::init
