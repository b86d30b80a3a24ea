#include "runtime/base/placed_spawn.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "runtime/base/status.h"

namespace warren::base {
namespace {

// What `script` says on descriptor 3: a pipe that stands for the "tasks" of
// that many hierarchies, too, into which the child writes first.
std::string Say(const std::string& script, size_t hierarchies) {
  Pipe pipe = *MakePipe();
  SpawnOptions options;
  options.path = "/bin/sh";
  options.args = {"sh", "-c", script};
  options.fds = {-1, -1, -1, pipe.write.get()};
  options.cgroup_tasks.assign(hierarchies, pipe.write.get());
  auto child = Spawn(options);
  EXPECT_TRUE(child.ok()) << child.status();
  pipe.write.reset();
  std::string said;
  char bytes[512];
  for (ssize_t n; (n = read(pipe.read.get(), bytes, sizeof(bytes))) > 0;) {
    said.append(bytes, static_cast<size_t>(n));
  }
  EXPECT_TRUE(child.ok() && Reap(child->pidfd.get()).ok());
  return said;
}

TEST(PlacedSpawn, EXE_10_ItEntersEachCgroupBeforeItsProgramRuns) {
  EXPECT_EQ(Say("printf here >&3", 2), "00here");
}

TEST(PlacedSpawn, ItHasItsDescriptorsAndNoOthers) {
  EXPECT_EQ(Say("readlink /proc/self/fd/0 >&3", 2), "00/dev/null\n");
  constexpr char kList[] = "ls /proc/self/fd >&3";
  EXPECT_EQ(Say(kList, 2), "00" + Say(kList, 0)) << "not as posix_spawn has it";
}

TEST(PlacedSpawn, ItHasCleanSignalsAndASessionOfItsOwn) {
  signal(SIGPIPE, SIG_IGN);
  sigset_t block;
  sigemptyset(&block);
  sigaddset(&block, SIGUSR1);
  sigprocmask(SIG_BLOCK, &block, nullptr);
  const std::string said =
      Say("grep -E '^Sig(Blk|Ign)' /proc/$$/status >&3; "
          "test $(cut -d' ' -f6 /proc/$$/stat) = $$ && echo own >&3",
          2);
  sigprocmask(SIG_UNBLOCK, &block, nullptr);
  signal(SIGPIPE, SIG_DFL);
  EXPECT_EQ(said,
            "00SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nown\n");
}

// The numbers of this process' children, dead or alive.
std::string ChildrenNow() {
  return ReadFileAt(AT_FDCWD,
                    absl::StrCat("/proc/self/task/", getpid(), "/children"))
      .value_or("none");
}

TEST(PlacedSpawn, WhatCannotBeIsAnErrorAndNoChild) {
  const std::string before = ChildrenNow();
  const Pipe pipe = *MakePipe();
  SpawnOptions options;
  options.path = "/bin/true";
  options.args = {"true"};
  options.fds = {-1, -1, -1};
  options.cgroup_tasks = {pipe.read.get()};
  EXPECT_EQ(GetErrno(Spawn(options).status()), EBADF);
  options.cgroup_tasks = {pipe.write.get()};
  options.path = "/nowhere";
  EXPECT_EQ(GetErrno(Spawn(options).status()), ENOENT);
  options.path = "/bin/true";
  options.cgroup = pipe.read.get();
  EXPECT_EQ(GetErrno(Spawn(options).status()), EBADF);
  EXPECT_EQ(ChildrenNow(), before);
}

}  // namespace
}  // namespace warren::base
