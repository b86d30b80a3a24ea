// A container that prints more than its share of the node would allow: its
// shim's share of a processor, and whom the work is charged to.
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>
#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/cri_test.h"
#include "tests/support/node_namespace.h"

namespace warren::test {
namespace {

constexpr int kPercent = 5;
constexpr long kLines = 4'000'000;
constexpr long kEntryBytes = 41;  // of an empty line
// CpuShare::kBurstNs, and what a start costs.
constexpr double kBurstSeconds = 0.05 + 0.05;

// Processor time of a process itself.
double UsedSeconds(pid_t pid) {
  double ns = 0;
  const std::string text =
      ReadHostFile(absl::StrCat("/proc/", pid, "/schedstat"));
  EXPECT_TRUE(absl::SimpleAtod(text.substr(0, text.find(' ')), &ns)) << text;
  return ns / 1e9;
}

// The line of /proc/<pid>/cgroup that starts so behind the number, as a path.
std::string CgroupPathOf(pid_t pid, const std::string& hierarchy) {
  const std::string text = ReadHostFile(absl::StrCat("/proc/", pid, "/cgroup"));
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<std::string> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() == 3 && parts[1] == hierarchy) return parts[2];
  }
  return "";
}

// Bytes of files in memory that are charged to the cgroup of `pid`; -1 where
// the machine counts none.
long PageCacheOf(pid_t pid) {
  const std::string v1 = CgroupPathOf(pid, "memory");
  const std::string text = ReadHostFile(
      v1.empty() ? absl::StrCat("/sys/fs/cgroup", CgroupPathOf(pid, ""),
                                "/memory.stat")
                 : absl::StrCat("/sys/fs/cgroup/memory", v1, "/memory.stat"));
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    long bytes = 0;
    if (words.size() == 2 && words[0] == (v1.empty() ? "file" : "cache") &&
        absl::SimpleAtoi(words[1], &bytes)) {
      return bytes;
    }
  }
  return -1;
}

class LogFloodTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    usual_ = daemon().extra_top;
    Restart(absl::StrCat(usual_, "log_cpu_percent = ", kPercent, "\n"));
  }
  void TearDown() override {
    Restart(usual_);
    CriTest::TearDown();
  }
  void Restart(const std::string& top) {
    KillDaemon();
    daemon().extra_top = top;
    StartDaemon();
  }

  // The parent of the first process.
  pid_t ShimOf(const std::string& pod, const std::string& container) {
    pid_t shim = 0;
    const std::string parent = ProcessStatus(HostPid(pod, container), "PPid");
    EXPECT_TRUE(absl::SimpleAtoi(parent, &shim)) << parent;
    return shim;
  }
  // It is in the cgroup of the shims in every hierarchy that is mounted.
  void ExpectPlace(pid_t shim) {
    const std::string text =
        ReadHostFile(absl::StrCat("/proc/", shim, "/cgroup"));
    int in_place = 0;
    for (const absl::string_view line :
         absl::StrSplit(text, '\n', absl::SkipEmpty())) {
      const std::vector<std::string> parts =
          absl::StrSplit(line, absl::MaxSplits(':', 2));
      ASSERT_EQ(parts.size(), 3u) << line;
      if (absl::EndsWith(parts[2], "/shims")) {
        ++in_place;
      } else {
        // One that is mounted nowhere.
        EXPECT_EQ(parts[2], CgroupPathOf(daemon().pid(), parts[1])) << line;
      }
    }
    EXPECT_EQ(in_place, static_cast<int>(CgroupMounts().size())) << text;
  }

  std::string usual_;
};

long FileSize(const std::string& path) {
  struct stat st;
  return stat(path.c_str(), &st) == 0 ? st.st_size : -1;
}

TEST_F(LogFloodTest, LOG_1_AFloodIsHeldBackAndChargedToTheShims) {
  const cri::PodSandboxConfig pod = Pod("flood");
  const std::string pod_id = RunPod(pod);
  const std::string bystander = Run(
      pod_id, pod,
      ShellConfig("bystander",
                  "i=0; while :; do echo $i; i=$((i+1)); usleep 1000; done"));
  cri::ContainerConfig config = ShellConfig(
      "flood",
      absl::StrCat("yes '' | head -c ", kLines, "; echo end; exec sleep 1000"));
  config.mutable_linux()->mutable_resources()->set_cpu_period(100'000);
  config.mutable_linux()->mutable_resources()->set_cpu_quota(5'000);
  const absl::Time begin = absl::Now();
  const std::string flood = Run(pod_id, pod, config);
  const pid_t shim = ShimOf(pod_id, flood);
  ExpectPlace(shim);
  ExpectPlace(ShimOf(pod_id, bystander));
  const std::string log = StatusOf(flood).log_path();
  const std::string other_log = StatusOf(bystander).log_path();
  const long other_before = FileSize(other_log);
  // "end" and its newline are 3 bytes more than an empty line.
  const long whole = (kLines + 1) * kEntryBytes + 3;
  double used = 0;
  absl::Duration passed;
  const bool written = Eventually(
      [&] {
        used = UsedSeconds(shim);
        passed = absl::Now() - begin;
        EXPECT_LE(used, kBurstSeconds +
                            absl::ToDoubleSeconds(passed) * kPercent / 100);
        return FileSize(log) >= whole;
      },
      absl::Seconds(120));
  EXPECT_TRUE(written) << FileSize(log) << " of " << whole;
  EXPECT_EQ(FileSize(log), whole);
  const std::string text = ReadHostFile(log);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), kLines + 1);
  EXPECT_TRUE(absl::EndsWith(text, " stdout F end\n"));
  EXPECT_GT(FileSize(other_log), other_before) << "the bystander";
  if (const long cache = PageCacheOf(shim); cache >= 0) {
    EXPECT_GT(cache, whole / 2);
    EXPECT_LT(PageCacheOf(daemon().pid()), cache);
  }
}

// Every kind of shim, and none of what they start.
TEST_F(LogFloodTest, EXE_10_OnlyShimsAreInTheCgroupOfTheShims) {
  cri::PodSandboxConfig pod = Pod("place");
  NamespaceOptions(&pod)->set_pid(cri::POD);
  const std::string pod_id = RunPod(pod);
  const std::string id = Run(pod_id, pod, IdleConfig("main"));
  const auto exec = client().ExecSync(id, {"cat", "/proc/self/cgroup"});
  ASSERT_TRUE(exec.ok()) << exec.status();
  EXPECT_THAT(exec->stdout(), testing::Not(testing::HasSubstr("/shims")));
  const pid_t shim = ShimOf(pod_id, id);
  ExpectPlace(shim);
  const std::string path = CgroupPathOf(shim, "");
  ASSERT_TRUE(absl::EndsWith(path, "/shims")) << path;
  for (const std::string& mount : CgroupMounts()) {
    const std::string list = ReadHostFile(mount + path + "/cgroup.procs");
    EXPECT_EQ(list, absl::StrCat(shim, "\n")) << mount;
  }
  // Killed and started again, the daemon finds it where it was.
  KillDaemon();
  StartDaemon();
  ExpectPlace(shim);
}

}  // namespace
}  // namespace warren::test
