#include "runtime/inspect/proc_reader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "runtime/identity/privileges.h"

namespace warren::runtime {
namespace {

TEST(ProcReader, Status) {
  auto view = ParseProcessStatus(
      "Name:\tsh\nState:\tS (sleeping)\nTgid:\t42\nPid:\t42\nPPid:\t1\n"
      "Uid:\t1000\t0\t0\t0\nGid:\t100\t0\t0\t0\nNSpid:\t42\t7\t1\n");
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->host_pid, 42);
  EXPECT_EQ(view->inner_pid, 1);
  EXPECT_EQ(view->uid, 1000u);
  EXPECT_EQ(view->gid, 100u);
  EXPECT_EQ(view->command, "sh");
  EXPECT_FALSE(ParseProcessStatus("").ok());
  EXPECT_FALSE(ParseProcessStatus("Pid:\t1\nUid:\tx\n").ok());
}

TEST(ProcReader, TimeOffsets) {
  auto offsets = ParseTimeOffsets(
      "monotonic          -1   500000000\nboottime   3600   5\n");
  ASSERT_TRUE(offsets.ok()) << offsets.status();
  EXPECT_EQ(offsets->monotonic_ns, -500'000'000);
  EXPECT_EQ(offsets->boottime_ns, 3600'000'000'005);
  EXPECT_FALSE(ParseTimeOffsets("monotonic 1\n").ok());
}

TEST(ProcReader, Self) {
  auto view = ReadProcess(getpid());
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->host_pid, getpid());
  EXPECT_FALSE(view->command.empty());
  auto mounts = ReadMounts(getpid());
  ASSERT_TRUE(mounts.ok()) << mounts.status();
  EXPECT_FALSE(mounts->empty());
}

TEST(Privileges, ClampToWhatTheDaemonHas) {
  // Everything but CAP_SYS_RESOURCE (24).
  auto some = Privileges::Parse(
      "CapEff:\t000001fffeffffff\nCapBnd:\t000001fffeffffff\n", "10\n");
  ASSERT_TRUE(some.ok()) << some.status();
  EXPECT_EQ(some->ClampOomScoreAdj(-998), 10);
  EXPECT_EQ(some->ClampOomScoreAdj(500), 500);
  EXPECT_EQ(some->ClampOomScoreAdj(5000), 1000);
  EXPECT_EQ(some->ClampCapabilities(~uint64_t{0}, false), 0x1fffeffffffu);
  // In a user namespace of its own a process has them all.
  EXPECT_EQ(some->ClampCapabilities(~uint64_t{0}, true), 0x1ffffffffffu);
  ASSERT_EQ(some->Missing().size(), 1u);
  EXPECT_NE(some->Missing()[0].find("CAP_SYS_RESOURCE"), std::string::npos);
  auto all = Privileges::Parse(
      "CapEff:\t000001ffffffffff\nCapBnd:\t000001ffffffffff\n", "0\n");
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->ClampOomScoreAdj(-998), -998);
  EXPECT_TRUE(all->Missing().empty());
  EXPECT_FALSE(Privileges::Parse("", "0").ok());
}

}  // namespace
}  // namespace warren::runtime
