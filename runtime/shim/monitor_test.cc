#include "runtime/shim/monitor.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

namespace warren::shim {
namespace {

uint64_t OomKillsIn(const std::string& text) {
  const base::UniqueFd fd(memfd_create("oom", MFD_CLOEXEC));
  EXPECT_EQ(write(fd.get(), text.data(), text.size()),
            static_cast<ssize_t>(text.size()));
  return ReadOomKills(fd.get());
}

TEST(ReadOomKills, ReadsBothVersions) {
  EXPECT_EQ(OomKillsIn("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), 3u);
  EXPECT_EQ(OomKillsIn("low 0\nhigh 0\nmax 12\noom 2\noom_kill 2\n"
                       "oom_group_kill 9\n"),
            2u);
  EXPECT_EQ(OomKillsIn("oom_kill_disable 1\n"), 0u);
  EXPECT_EQ(OomKillsIn(""), 0u);
  EXPECT_EQ(ReadOomKills(-1), 0u);
}

TEST(DescribeExit, AddsTheSignalTo128) {
  v1::Exited exited;
  DescribeExit(3 << 8, &exited);
  EXPECT_EQ(exited.exit_code(), 3);
  EXPECT_EQ(exited.signal(), 0);
  DescribeExit(9, &exited);
  EXPECT_EQ(exited.exit_code(), 137);
  EXPECT_EQ(exited.signal(), 9);
}

}  // namespace
}  // namespace warren::shim
