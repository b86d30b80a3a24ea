// The CRI log as a container makes it: entries, rotation, hostile paths, full
// disks.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "runtime/base/status.h"
#include "tests/kernel/shim_host.h"

namespace warren::test {
namespace {

class ShimLog : public ShimTest {};

// The entries without their stamps.
std::vector<std::string> Entries(const std::string& log) {
  std::vector<std::string> entries;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    entries.push_back(line.substr(31));
  }
  return entries;
}

TEST_F(ShimLog, EntriesHaveTheFormatOfCri) {
  const ContainerEnd end = RunScript(
      "echo plain; printf 'crlf\\r\\n\\n'; sleep 0.1; echo err >&2; sleep 0.1; "
      "printf 'no newline'");
  EXPECT_EQ(
      Entries(end.log),
      (std::vector<std::string>{"stdout F plain", "stdout F crlf", "stdout F ",
                                "stderr F err", "stdout P no newline"}));
  EXPECT_EQ(end.log.back(), '\n');
}

TEST_F(ShimLog, LongLinesAreCutAt16384Bytes) {
  for (const int size : {16383, 16384, 16385, 32768, 32769, 100000}) {
    ContainerLaunch launch =
        Container("head -c " + std::to_string(size) +
                  " /dev/zero | tr '\\0' x; printf '\\r\\nend\\n'");
    const ContainerEnd end = Run(std::move(launch));
    EXPECT_EQ(end.output, std::string(size, 'x') + "\nend\n") << size;
    const auto entries = Entries(end.log);
    ASSERT_EQ(entries.size(), static_cast<size_t>((size - 1) / 16384) + 2)
        << size;
    for (size_t i = 0; i + 2 < entries.size(); ++i) {
      EXPECT_EQ(entries[i].substr(0, 9), "stdout P ");
      EXPECT_EQ(entries[i].size(), 9u + 16384u);
    }
  }
}

TEST_F(ShimLog, REL_13_StampsNeverGoBack) {
  const ContainerEnd end =
      RunScript("for i in $(seq 300); do echo $i; echo $i >&2; done");
  std::istringstream lines(end.log);
  std::string last;
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_LE(last, line.substr(0, 30));
    last = line.substr(0, 30);
  }
  EXPECT_EQ(count, 600);
}

TEST_F(ShimLog, REL_13_ReopeningUnderLoadLosesAndDoublesNothing) {
  constexpr int kLines = 200000;
  ContainerLaunch launch = Container("seq " + std::to_string(kLines));
  const runtime::Launched launched = Start(&launch);
  auto connection = runtime::ShimConnection::Connect(launch.run_dir.get());
  int rotations = 0;
  std::vector<std::string> names;
  while (connection.ok() && rotations < 200) {
    const std::string old = "0.log." + std::to_string(rotations);
    ASSERT_EQ(renameat(launch.log_dir.get(), "0.log", launch.log_dir.get(),
                       old.c_str()),
              0);
    names.push_back(old);
    const absl::Status status = connection->ReopenLog();
    if (status.code() == absl::StatusCode::kUnavailable) break;
    ASSERT_TRUE(status.ok()) << status;
    ++rotations;
  }
  AwaitEnd(launched);
  names.push_back("0.log");
  std::string all;
  for (const std::string& name : names) {
    all += Slurp(launch.log_dir.get(), name);
  }
  std::string expected;
  for (int i = 1; i <= kLines; ++i) expected += std::to_string(i) + "\n";
  EXPECT_TRUE(LogText(all) == expected)
      << rotations << " rotations, " << all.size() << " bytes";
  EXPECT_GT(rotations, 3);
}

// Seconds of processor time that a process itself has used.
double UsedSeconds(pid_t pid) {
  const std::string proc = "/proc/" + std::to_string(pid) + "/schedstat";
  return strtod(Slurp(AT_FDCWD, proc).c_str(), nullptr) / 1e9;
}

TEST_F(ShimLog, REL_14_AShimThatUsedItsShareServesAndLosesNothing) {
  constexpr long kLines = 3'000'000;
  constexpr int kPercent = 2;
  ContainerLaunch launch = Container("yes '' | head -c " +
                                     std::to_string(kLines) + "; echo end >&2");
  launch.container()->set_log_cpu_percent(kPercent);
  const int64_t begin = base::SystemClock().MonotonicNow();
  const runtime::Launched launched = Start(&launch);
  auto connection = runtime::ShimConnection::Connect(launch.run_dir.get());
  ASSERT_TRUE(connection.ok()) << connection.status();
  int served = 0;
  int rotations = 0;
  double used = 0;
  std::vector<std::string> names = {"0.log"};
  for (; !*base::WaitExit(launched.shim.pidfd.get(), absl::Milliseconds(10));
       ++served) {
    used = UsedSeconds(launched.shim.id.pid);
    const int64_t passed = base::SystemClock().MonotonicNow() - begin;
    // Beside the share: what is in a new bucket, the start, these commands.
    EXPECT_LE(used, 0.05 + 0.03 + 0.0001 * served +
                        static_cast<double>(passed) / 1e9 * kPercent / 100);
    const absl::Status status = connection->Query().status();
    if (absl::IsUnavailable(status)) continue;  // it has left
    ASSERT_TRUE(status.ok()) << status;
    if (served % 20 != 19) continue;
    const std::string old = "0.log." + std::to_string(rotations++);
    ASSERT_EQ(renameat(launch.log_dir.get(), "0.log", launch.log_dir.get(),
                       old.c_str()),
              0);
    names.push_back(old);
    connection->ReopenLog().IgnoreError();  // in the log or not: it is there
  }
  AwaitEnd(launched);
  // Without a limit it is over at once.
  EXPECT_GT(served, 20);
  EXPECT_GT(rotations, 0);
  EXPECT_GT(used, 0.05);
  long bytes = 0;
  long lines = 0;
  for (const std::string& name : names) {
    const std::string log = Slurp(launch.log_dir.get(), name);
    bytes += static_cast<long>(log.size());
    lines += std::count(log.begin(), log.end(), '\n');
  }
  EXPECT_EQ(lines, kLines + 1);
  EXPECT_EQ(bytes, (kLines + 1) * 41 + 3);
}

TEST_F(ShimLog, ReopenFollowsANewFolderAndKeepsTheOldFileOnFailure) {
  ContainerLaunch launch = Container(
      "trap 'echo tick' USR1; echo up; while true; do sleep 1000 & wait; done");
  const runtime::Launched launched = Start(&launch);
  auto connection = *runtime::ShimConnection::Connect(launch.run_dir.get());
  const auto has = [](const base::UniqueFd& dir, const char* what) {
    return Eventually([&] {
      return Slurp(dir.get(), "0.log").find(what) != std::string::npos;
    });
  };
  EXPECT_TRUE(has(launch.log_dir, "up"));
  // A directory in the place of the file: refused, and the old file goes on.
  ASSERT_EQ(
      renameat(launch.log_dir.get(), "0.log", launch.log_dir.get(), "old"), 0);
  ASSERT_EQ(mkdirat(launch.log_dir.get(), "0.log", 0755), 0);
  EXPECT_FALSE(connection.ReopenLog().ok());
  ASSERT_TRUE(connection.Signal(SIGUSR1).ok());
  EXPECT_TRUE(Eventually([&] {
    return Slurp(launch.log_dir.get(), "old").find("tick") != std::string::npos;
  }));
  const std::string fresh = directory() + "/fresh";
  ASSERT_EQ(mkdir(fresh.c_str(), 0755), 0);
  const base::UniqueFd dir(open(fresh.c_str(), O_RDONLY | O_DIRECTORY));
  ASSERT_TRUE(connection.ReopenLog(dir.get()).ok());
  ASSERT_TRUE(connection.Signal(SIGUSR1).ok());
  EXPECT_TRUE(has(dir, "tick"));
  EXPECT_TRUE(connection.Signal(SIGKILL).ok());
  AwaitEnd(launched);
}

TEST_F(ShimLog, LOG_1_PlantedNamesAreRefused) {
  const std::string canary = directory() + "/canary";
  base::UniqueFd(open(canary.c_str(), O_CREAT | O_WRONLY, 0644));
  const struct {
    const char* name;
    int error;
  } kCases[] = {{"../0.log", EINVAL}, {"/0.log", EINVAL},
                {"", EINVAL},         {"a//b", EINVAL},
                {"link", ELOOP},      {"dirlink/x", ENOTDIR},
                {"fifo", ENXIO},      {"directory", EISDIR},
                {"stranger", EPERM},  {"hardlink", EMLINK}};
  for (const auto& c : kCases) {
    ContainerLaunch launch = Container("echo evil");
    const int dir = launch.log_dir.get();
    ASSERT_EQ(symlinkat(canary.c_str(), dir, "link"), 0);
    ASSERT_EQ(symlinkat(directory().c_str(), dir, "dirlink"), 0);
    ASSERT_EQ(mkfifoat(dir, "fifo", 0644), 0);
    ASSERT_EQ(mkdirat(dir, "directory", 0755), 0);
    base::UniqueFd(openat(dir, "stranger", O_CREAT | O_WRONLY, 0666));
    ASSERT_EQ(fchownat(dir, "stranger", 1000, 1000, 0), 0);
    ASSERT_EQ(linkat(AT_FDCWD, canary.c_str(), dir, "hardlink", 0), 0);
    launch.container()->set_log_name(c.name);
    const ContainerEnd end = Run(std::move(launch));
    EXPECT_EQ(runtime::FailedStep(end.status), "log") << c.name;
    EXPECT_EQ(base::GetErrno(end.status), c.error) << c.name;
  }
  EXPECT_EQ(Slurp(AT_FDCWD, canary), "");
}

TEST_F(ShimLog, ParentsAreMadeAndTheFileIsPrivate) {
  ContainerLaunch launch = Container("echo deep");
  const base::UniqueFd dir = *base::DupFd(launch.log_dir.get());
  launch.container()->set_log_name("web/3.log");
  EXPECT_TRUE(Run(std::move(launch)).status.ok());
  struct stat st;
  ASSERT_EQ(fstatat(dir.get(), "web", &st, 0), 0);
  EXPECT_EQ(st.st_mode & 07777, 0755u);
  ASSERT_EQ(fstatat(dir.get(), "web/3.log", &st, 0), 0);
  EXPECT_EQ(st.st_mode & 07777, 0640u);
  EXPECT_EQ(LogText(Slurp(dir.get(), "web/3.log")), "deep\n");
}

TEST_F(ShimLog, NoLogMeansOutputIsDropped) {
  ContainerLaunch launch = Container("seq 100000; exit 4");
  launch.container()->set_log_dir_fd(0);
  const ContainerEnd end = Run(std::move(launch));
  EXPECT_EQ(end.exited.exit_code(), 4);
  EXPECT_EQ(end.log, "");
}

TEST_F(ShimLog, REL_14_FullDiskKeepsWholeEntriesAndTheContainer) {
  const std::string full = directory() + "/full";
  ASSERT_EQ(mkdir(full.c_str(), 0755), 0);
  ASSERT_EQ(mount("tmpfs", full.c_str(), "tmpfs", 0, "size=256k"), 0);
  ContainerLaunch launch = Container("seq 200000; exit 9");
  launch.log_dir.reset(open(full.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  launch.container()->set_log_dir_fd(launch.fds.AddCopy(launch.log_dir.get()));
  const ContainerEnd end = Run(std::move(launch));
  EXPECT_EQ(end.exited.exit_code(), 9);
  EXPECT_GT(end.log.size(), 200u * 1024);
  EXPECT_EQ(end.log.back(), '\n');
  EXPECT_EQ(end.output.substr(0, 6), "1\n2\n3\n");  // and all well-formed
}

}  // namespace
}  // namespace warren::test
