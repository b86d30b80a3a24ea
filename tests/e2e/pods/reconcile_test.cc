// What has the daemon look by itself: its start, an exit, the timer, a request
// (agent/pods/reconcile_loop.h).
#include <absl/strings/str_cat.h>
#include <signal.h>
#include <sys/mount.h>

#include <filesystem>
#include <string>

#include "runtime/base/process.h"
#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/ledger_probes.h"

namespace warren::test {
namespace {

using ::testing::HasSubstr;

class ReconcileTest : public CriTest {
 protected:
  absl::Status Reconcile() {
    return client()
        .Call<node::ReconcileResponse>(node::ReconcileRequest())
        .status();
  }
  // Empty while nothing is left over.
  std::string LeftOver() {
    const auto reply = client().Call<cri::StatusResponse>(cri::StatusRequest());
    EXPECT_TRUE(reply.ok()) << reply.status();
    for (const auto& condition : reply->status().conditions()) {
      if (condition.type() != "NothingLeftOver") continue;
      return condition.status() ? "" : condition.message();
    }
    return "there is no such condition";
  }
  // A pod whose link somebody deletes.
  std::string RunCutOffPod() {
    const std::string id = RunPod(Pod("cut-off"));
    const auto view = client().InspectPodSandbox(id);
    EXPECT_TRUE(view.ok()) << view.status();
    const auto deleted =
        RunCommand({"ip", "link", "del", view->pod().host_ifname()});
    EXPECT_EQ(deleted.exit_code, 0) << deleted.err;
    return id;
  }
  bool NotReady(const std::string& id) {
    return client().PodSandboxStatus(id)->status().state() ==
           cri::SANDBOX_NOTREADY;
  }
  void ExpectCutOffPodGoes(const std::string& id) {
    EXPECT_THAT(client().PodSandboxStatus(id, true)->info().at("info"),
                HasSubstr("it has lost its network"));
    EXPECT_TRUE(client().StopPodSandbox(id).ok());
    EXPECT_TRUE(client().RemovePodSandbox(id).ok());
    EXPECT_EQ(LeftOver(), "");
  }
  static std::string Alive(const std::string& text) {
    std::string found;
    for (const std::string& line : Processes(0)) {
      if (line.find(text) != std::string::npos) found += line + "\n";
    }
    return found;
  }
  // A container in the pod's pid namespace.
  std::string RunShared(const std::string& script) {
    cri::PodSandboxConfig pod = Pod("shared");
    NamespaceOptions(&pod)->set_pid(cri::POD);
    const std::string pod_id = RunPod(pod);
    cri::ContainerConfig config = ShellConfig("main", script);
    NamespaceOptions(&config)->set_pid(cri::POD);
    return Run(pod_id, pod, config);
  }
  // Puts a process into every cgroup that is called like that.
  static void MoveInto(const std::string& leaf, pid_t pid) {
    const auto moved = RunCommand(
        {"sh", "-c",
         absl::StrCat("for d in $(find /sys/fs/cgroup -type d -name ", leaf,
                      "); do echo ", pid, " >$d/cgroup.procs; done")});
    EXPECT_EQ(moved.exit_code, 0) << moved.err;
  }
};

TEST_F(ReconcileTest, REL_25_OnDemandAPodThatLostItsLinkIsFound) {
  const std::string id = RunCutOffPod();
  ASSERT_TRUE(Reconcile().ok());
  EXPECT_TRUE(Eventually([&] { return NotReady(id); }, absl::Seconds(5)));
  ExpectCutOffPodGoes(id);
}

TEST_F(ReconcileTest, REL_25_TheTimerFindsItToo) {
  const std::string id = RunCutOffPod();
  EXPECT_TRUE(Eventually([&] { return NotReady(id); }, absl::Seconds(70)));
  ExpectCutOffPodGoes(id);
}

TEST_F(ReconcileTest, REL_5_OnDemandAnOrphanIsFoundAndToldUntilItIsGone) {
  const std::string orphan =
      daemon().run_dir() + "/containers/" + std::string(64, 'a');
  std::filesystem::create_directories(orphan + "/mounted");
  ASSERT_EQ(mount("none", (orphan + "/mounted").c_str(), "tmpfs", 0, nullptr),
            0);
  ASSERT_TRUE(Reconcile().ok());
  EXPECT_TRUE(
      Eventually([&] { return !LeftOver().empty(); }, absl::Seconds(5)));
  EXPECT_THAT(LeftOver(), HasSubstr("remove the unknown container aaaaaaaaaa"));
  ASSERT_EQ(umount((orphan + "/mounted").c_str()), 0);
  ASSERT_TRUE(Reconcile().ok());
  EXPECT_TRUE(Eventually([&] { return LeftOver().empty(); }, absl::Seconds(5)));
  EXPECT_FALSE(HostFileExists(orphan));
}

TEST_F(ReconcileTest, REL_11_AnExitEndsWhatTheContainerLeft) {
  const std::string id = RunShared(
      "exec >/dev/null 2>&1; (setsid sleep 52001 &); "
      "while ! test -e /go; do usleep 9999; done");
  EXPECT_TRUE(Eventually([] { return !Alive("sleep 52001").empty(); }));
  client().ExecSync(id, {"touch", "/go"}).IgnoreError();
  WaitExited(id);
  EXPECT_TRUE(Eventually([] { return Alive("sleep 52001").empty(); },
                         absl::Seconds(5)));
  EXPECT_EQ(LeftOver(), "");
}

// It was ended, and no process was left of it, before this daemon started.
TEST_F(ReconcileTest, REL_11_TheStartEndsWhatIsInTheCgroupOfAnEndedContainer) {
  const std::string id = RunShared("exit 3");
  EXPECT_EQ(WaitExited(id).exit_code(), 3);
  KillDaemon();
  base::SpawnOptions sleep;
  sleep.path = "/bin/sleep";
  sleep.args = {"sleep", "52002"};
  sleep.fds = {-1, -1, -1};
  const auto sleeper = base::Spawn(sleep);
  ASSERT_TRUE(sleeper.ok()) << sleeper.status();
  MoveInto(id, sleeper->id.pid);
  StartDaemon();
  EXPECT_TRUE(base::WaitExit(sleeper->pidfd.get(), Patience(absl::Seconds(10)))
                  .value_or(false))
      << Alive("sleep 52002");
  EXPECT_TRUE(base::Reap(sleeper->pidfd.get()).ok());
  EXPECT_EQ(StatusOf(id).exit_code(), 3);
}

}  // namespace
}  // namespace warren::test
