// The daemon as a program: lock, signals, options, damaged state.
#include <signal.h>
#include <sys/stat.h>

#include <cstdlib>
#include <string>
#include <thread>

#include "tests/support/cri_test.h"
#include "tests/support/ledger_probes.h"

namespace warren::test {
namespace {

class DaemonTest : public CriTest {};

TEST_F(DaemonTest, ASecondInstanceIsRefusedAndTheFirstGoesOn) {
  const std::string id = RunAlone(IdleConfig("main"));
  EXPECT_NE(daemon().RunToEnd({}), 0);
  EXPECT_EQ(ShellOutput(id, "echo alive"), "alive\n");
  CriClient fresh(daemon().socket());
  EXPECT_TRUE(fresh.Call<cri::VersionResponse>(cri::VersionRequest()).ok())
      << "its socket is untouched";
}

TEST_F(DaemonTest, SigtermDrainsAndLeavesThePodsRunning) {
  std::string pod_id;
  const std::string id = RunAlone(IdleConfig("main"), &pod_id);
  const pid_t pid = HostPid(pod_id, id);
  const auto code = daemon().Terminate();
  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(*code, 0) << daemon().Log();
  EXPECT_EQ(kill(pid, 0), 0) << "the container runs on";
  StartDaemon();
  EXPECT_EQ(HostPid(pod_id, id), pid);
}

TEST_F(DaemonTest, REL_27_SigtermEndsItAlsoWithACallUnderWay) {
  const std::string id = RunAlone(IdleConfig("main"));
  std::thread session([socket = daemon().socket(), id] {
    CriClient(socket).ExecSync(id, {"sleep", "30"}).status().IgnoreError();
  });
  EXPECT_TRUE(Eventually([] {
    for (const std::string& line : Processes(0)) {
      if (line.find("sleep 30") != std::string::npos) return true;
    }
    return false;
  }));
  const auto code = daemon().Terminate(absl::Seconds(20));
  EXPECT_TRUE(code.ok()) << code.status();
  session.join();
  if (!daemon().running()) StartDaemon();
}

TEST_F(DaemonTest, CheckConfigHasNoSideEffects) {
  WarrendProcess other;
  EXPECT_EQ(other.RunToEnd({"--check-config"}), 0);
  EXPECT_FALSE(HostFileExists(other.state_dir()));
  EXPECT_FALSE(HostFileExists(other.socket()));
  other.extra_top = "no_such_key = 1\n";
  EXPECT_NE(other.RunToEnd({"--check-config"}), 0);
  EXPECT_THAT(other.Log(), testing::HasSubstr("no_such_key"));
}

TEST_F(DaemonTest, BadConfigurationsAreRefused) {
  for (const char* line : {"socket = 5\n", "cgroup_parent = \"a/../b\"\n",
                           "log_level = \"loudest\"\n", "this is not toml"}) {
    WarrendProcess other;
    other.extra_top = line;
    EXPECT_NE(other.RunToEnd({"--check-config"}), 0) << line;
  }
  WarrendProcess other;
  other.extra_network = "pod_ranges = [\"10.0.0.0/99\"]\n";
  EXPECT_NE(other.RunToEnd({"--check-config"}), 0);
}

TEST_F(DaemonTest, ARangeThatTheNodeAlreadyRoutesIsRefused) {
  WarrendProcess other;
  other.extra_network =
      "pod_ranges = [\"192.0.2.0/24\"]\nbridge = \"other0\"\n"
      "table = \"other\"\n";
  EXPECT_FALSE(other.Start(absl::Seconds(10)).ok());
  EXPECT_THAT(other.Log(), testing::HasSubstr("192.0.2.0/24"));
}

TEST_F(DaemonTest, REL_16_ATornRecordDoesNotKeepItFromStarting) {
  const std::string good = RunPod(Pod("good"));
  const std::string torn = RunPod(Pod("torn"));
  KillDaemon();
  const std::string record =
      daemon().state_dir() + "/sandboxes/" + torn + "/record.pb";
  const std::string bytes = ReadHostFile(record);
  ASSERT_FALSE(bytes.empty());
  ASSERT_TRUE(WriteHostFile(record, bytes.substr(0, bytes.size() / 2)));
  StartDaemon();
  ASSERT_FALSE(HasFatalFailure());
  EXPECT_EQ(client().PodSandboxStatus(good)->status().state(),
            cri::SANDBOX_READY);
  // The damaged one is either gone or can be removed.
  EXPECT_TRUE(client().RemovePodSandbox(torn).ok());
}

TEST_F(DaemonTest, ItsFoldersAreForRootOnly) {
  for (const std::string& directory : {daemon().state_dir()}) {
    struct stat st;
    ASSERT_EQ(stat(directory.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07, 0u) << directory;
  }
}

TEST_F(DaemonTest, IdleItNeedsLittleMemory) {
  EXPECT_GT(daemon().StatusValue("VmRSS"), 0);
  if (std::getenv("ASAN_OPTIONS") != nullptr) GTEST_SKIP() << "sanitized";
  EXPECT_LT(daemon().StatusValue("VmRSS"), 64 << 10) << "KiB";
}

}  // namespace
}  // namespace warren::test
