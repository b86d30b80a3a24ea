#include "runtime/base/process.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "runtime/base/adopted.h"
#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::base {
namespace {

SpawnOptions Shell(const std::string& script) {
  SpawnOptions options;
  options.path = "/bin/sh";
  options.args = {"sh", "-c", script};
  options.fds = {-1, -1, -1};
  return options;
}

TEST(Process, StartTimeIdentifies) {
  const auto own = StartTime(getpid());
  ASSERT_TRUE(own.ok());
  EXPECT_GT(*own, 0u);
  EXPECT_TRUE(OpenProcess({getpid(), *own}).ok());
  EXPECT_EQ(OpenProcess({getpid(), *own + 1}).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(Process, SpawnWaitReap) {
  auto child = Spawn(Shell("exit 7"));
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_TRUE(*WaitExit(child->pidfd.get(), absl::Seconds(60)));
  // A zombie still has its identity.
  EXPECT_EQ(*StartTime(child->id.pid), child->id.start_time);
  const auto status = Reap(child->pidfd.get());
  ASSERT_TRUE(status.ok());
  EXPECT_TRUE(WIFEXITED(*status));
  EXPECT_EQ(WEXITSTATUS(*status), 7);
  EXPECT_EQ(Reap(child->pidfd.get()).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(OpenProcess(child->id).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_TRUE(SendSignal(child->pidfd.get(), SIGKILL).ok());  // gone is OK
}

TEST(Process, SignalsAreReported) {
  auto child = Spawn(Shell("exec sleep 1000"));
  ASSERT_TRUE(child.ok());
  EXPECT_FALSE(*WaitExit(child->pidfd.get(), absl::Milliseconds(20)));
  ASSERT_TRUE(SendSignal(child->pidfd.get(), SIGKILL).ok());
  const auto status = Reap(child->pidfd.get());
  EXPECT_TRUE(WIFSIGNALED(*status));
  EXPECT_EQ(WTERMSIG(*status), SIGKILL);
}

TEST(Process, ChildGetsItsDescriptorsAndNoOthers) {
  const Pipe pipe = *MakePipe();
  // Both of these are to be moved over each other's place.
  SpawnOptions options = Shell(
      "ls /proc/self/fd | tr '\\n' ' '; "
      "readlink /proc/self/fd/0 >&4");
  options.fds = {-1, pipe.write.get(), -1, -1, pipe.write.get()};
  auto child = Spawn(options);
  ASSERT_TRUE(child.ok());
  ASSERT_TRUE(Reap(child->pidfd.get()).ok());
  char text[256] = {};
  ASSERT_GT(read(pipe.read.get(), text, sizeof(text) - 1), 0);
  EXPECT_NE(std::string(text).find("/dev/null"), std::string::npos) << text;
}

TEST(Process, ChildHasCleanSignalsAndASessionOfItsOwn) {
  signal(SIGPIPE, SIG_IGN);
  sigset_t block;
  sigemptyset(&block);
  sigaddset(&block, SIGUSR1);
  sigprocmask(SIG_BLOCK, &block, nullptr);
  const Pipe pipe = *MakePipe();
  SpawnOptions options = Shell(
      "grep -E '^Sig(Blk|Ign)' /proc/self/status; cut -d' ' -f6 "
      "/proc/self/stat");
  options.fds = {-1, pipe.write.get(), -1};
  auto child = Spawn(options);
  ASSERT_TRUE(child.ok());
  ASSERT_TRUE(Reap(child->pidfd.get()).ok());
  sigprocmask(SIG_UNBLOCK, &block, nullptr);
  char text[256] = {};
  ASSERT_GT(read(pipe.read.get(), text, sizeof(text) - 1), 0);
  unsigned long blocked = 1;
  unsigned long ignored = 1;
  int session = 0;
  ASSERT_EQ(
      sscanf(text, "SigBlk: %lx SigIgn: %lx %d", &blocked, &ignored, &session),
      3);
  EXPECT_EQ(blocked, 0u);
  // libc keeps 32 and 33 for itself: posix_spawn leaves them as they were.
  EXPECT_EQ(ignored & ~0x180000000ul, 0u);
  EXPECT_EQ(session, child->id.pid);
}

TEST(Process, SpawnOfNothingFails) {
  SpawnOptions options = Shell("true");
  options.path = "/no/such/program";
  EXPECT_EQ(GetErrno(Spawn(options).status()), ENOENT);
}

// The numbers of this process' children, dead or alive.
std::string Children() {
  return ReadFileAt(AT_FDCWD,
                    absl::StrCat("/proc/self/task/", getpid(), "/children"))
      .value_or("none");
}

// No descriptor is left for the pidfd.
TEST(Process, AChildThatCannotBeWatchedIsNotLeft) {
  if (Children() == "none") GTEST_SKIP() << "no CONFIG_PROC_CHILDREN";
  const int lowest = fcntl(0, F_DUPFD_CLOEXEC, 0);
  ASSERT_GE(lowest, 0);
  close(lowest);
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none = {static_cast<rlim_t>(lowest), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto child = Spawn(Shell("exec sleep 1000"));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(GetErrno(child.status()), EMFILE) << child.status();
  EXPECT_EQ(Children(), "");
}

TEST(Process, AdoptedOnesAreReapedAndOwnOnesAreNot) {
  if (Children() == "none") GTEST_SKIP() << "no CONFIG_PROC_CHILDREN";
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
  auto child = Spawn(Shell("sleep 0.05 & sleep 1000 & exit 7"));
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_TRUE(*WaitExit(child->pidfd.get(), absl::Seconds(60)));
  // Own zombie, and two adopted ones of which one is alive.
  const auto count = [] {
    const std::string text = Children();
    return std::count(text.begin(), text.end(), ' ');
  };
  EXPECT_EQ(count(), 3);
  const absl::Time end = absl::Now() + absl::Seconds(60);
  while (count() > 2 && absl::Now() < end) ReapAdopted();
  EXPECT_EQ(count(), 2);
  const auto status = Reap(child->pidfd.get());
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(WEXITSTATUS(*status), 7);
  EXPECT_EQ(kill(std::stoi(Children()), SIGKILL), 0);
  while (count() > 0 && absl::Now() < end) ReapAdopted();
  EXPECT_EQ(Children(), "");
  EXPECT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
}

}  // namespace
}  // namespace warren::base
