// log_bench [lines]: what a line of a container's log costs its shim.
// Containers print that many lines (4,000,000) as fast as they can; printed are
// the processor time of the shim for each line, log written in a second of that
// time, and the share of a processor that the shim had. Processor time is the
// scheduler's count, so that a busy machine changes it little. The
// shims have the shipped default of log_cpu_percent unless WARREN_LOG_CPU says
// another percentage. Runs as root in namespaces of its own.
#include <absl/time/time.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <sstream>
#include <string>

#include "runtime/base/process.h"
#include "tests/kernel/shim_host.h"

namespace warren::test {
namespace {

long g_lines = 4'000'000;

// What a shim itself has used when it has ended, unreaped; getrusage of a child
// would count the container that it reaped.
struct Usage {
  double cpu = 0;   // seconds: /proc/<pid>/schedstat
  double user = 0;  // in ticks of 10 ms: /proc/<pid>/stat
};
Usage UsageAtEnd(const base::Child& shim) {
  const auto ended =
      base::WaitExit(shim.pidfd.get(), Patience(absl::Seconds(300)));
  EXPECT_TRUE(ended.ok() && *ended);
  const std::string proc = "/proc/" + std::to_string(shim.id.pid);
  Usage usage;
  usage.cpu = atof(Slurp(AT_FDCWD, proc + "/schedstat").c_str()) / 1e9;
  std::istringstream stat(Slurp(AT_FDCWD, proc + "/stat"));
  std::string field;
  for (int i = 0; i < 14; ++i) stat >> field;
  usage.user = atof(field.c_str()) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return usage;
}

double StampSeconds(const std::string& entry) {
  absl::Time time;
  absl::ParseTime(absl::RFC3339_full, entry.substr(0, 30), &time, nullptr);
  return absl::ToDoubleSeconds(time - absl::UnixEpoch());
}

class LogBench : public ShimTest {
 public:
  void TestBody() override {
    Flood("newlines", "");
    Flood("lines of 80 bytes", std::string(79, 'x'));
    Flood("lines of 1000 bytes", std::string(999, 'x'));
  }

 private:
  // As many bytes as the newlines have entries for.
  void Flood(const std::string& what, const std::string& line) {
    const long size = static_cast<long>(line.size()) + 1;
    const long lines = std::max(1L, g_lines * 41 / (size + 40));
    ContainerLaunch launch =
        Container("yes '" + line + "' | head -c " +
                  std::to_string(lines * size) + " > /f; exec cat /f");
    const runtime::Launched launched = Start(&launch);
    const Usage usage = UsageAtEnd(launched.shim);
    AwaitEnd(launched);
    const std::string log = Slurp(launch.log_dir.get(), "0.log");
    unlinkat(launch.log_dir.get(), "0.log", 0);
    ASSERT_EQ(log.size(), static_cast<size_t>(lines * (size + 40)));
    // The container needs some time before it prints.
    const double wall =
        StampSeconds(log.substr(log.size() - 40 - size)) - StampSeconds(log);
    printf(
        "%-20s %8ld lines   %6.1f ns of processor each (%.1f user)   "
        "%5.0f MB of log a processor second   %3.0f %% of a processor\n",
        what.c_str(), lines, usage.cpu * 1e9 / static_cast<double>(lines),
        usage.user * 1e9 / static_cast<double>(lines),
        static_cast<double>(log.size()) / 1e6 / usage.cpu,
        usage.cpu / wall * 100);
  }
};

}  // namespace
}  // namespace warren::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc > 1) warren::test::g_lines = std::max(1L, atol(argv[1]));
  testing::RegisterTest(
      "LogBench", "Costs", nullptr, nullptr, __FILE__, __LINE__,
      []() -> warren::test::ShimTest* { return new warren::test::LogBench; });
  return RUN_ALL_TESTS();
}
