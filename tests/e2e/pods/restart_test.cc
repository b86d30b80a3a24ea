// The daemon killed with SIGKILL and started again: nothing is lost, nothing
// stops, nothing is left.
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <signal.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/http_fetch.h"
#include "tests/support/ledger_probes.h"

namespace warren::test {
namespace {

class RestartTest : public CriTest {
 protected:
  void Restart() {
    KillDaemon();
    StartDaemon();
  }
  static std::string Counter() {
    return "i=0; while :; do echo $i; i=$((i+1)); usleep 1000; done";
  }
  static pid_t ParentOf(pid_t pid) {
    const std::string text = ProcessStatus(pid, "PPid");
    return text.empty() ? -1 : std::stoi(text);
  }
  // "0 1 2 …" without a hole or a repeat, in the texts of a CRI log.
  static int CountedTo(const std::string& log) {
    int next = 0;
    for (const auto& line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
      const std::vector<std::string> words = absl::StrSplit(line, ' ');
      if (words.size() != 4 || words[3] != std::to_string(next)) {
        ADD_FAILURE() << "after " << next << ": " << line;
        return next;
      }
      ++next;
    }
    return next;
  }
};

TEST_F(RestartTest, REL_1_ContainersRunOnAndAreListedAsBefore) {
  std::string pod_id;
  cri::ContainerConfig config = IdleConfig("main");
  (*config.mutable_labels())["k"] = "v";
  const std::string id = RunAlone(config, &pod_id);
  const pid_t pid = HostPid(pod_id, id);
  const auto pod_before = client().PodSandboxStatus(pod_id);
  const std::string before = StatusOf(id).SerializeAsString();
  Restart();
  EXPECT_EQ(StatusOf(id).SerializeAsString(), before);
  EXPECT_EQ(client().PodSandboxStatus(pod_id)->status().SerializeAsString(),
            pod_before->status().SerializeAsString());
  EXPECT_EQ(HostPid(pod_id, id), pid) << "the same process";
  EXPECT_EQ(ShellOutput(id, "echo alive"), "alive\n");
  EXPECT_TRUE(client().StopContainer(id, 10).ok());
  EXPECT_EQ(StatusOf(id).exit_code(), 0);
}

TEST_F(RestartTest, REL_1_AContainerWhoseShimHangsRunsOn) {
  std::string pod_id;
  const std::string id = RunAlone(IdleConfig("main"), &pod_id);
  const pid_t pid = HostPid(pod_id, id);
  const pid_t shim = ParentOf(pid);
  ASSERT_GT(shim, 1);
  KillDaemon();
  ASSERT_EQ(kill(shim, SIGSTOP), 0);
  StartDaemon();
  EXPECT_EQ(StatusOf(id).state(), cri::CONTAINER_RUNNING);
  EXPECT_EQ(kill(pid, 0), 0) << "it was killed";
  EXPECT_EQ(HostPid(pod_id, id), pid);
  EXPECT_EQ(ShellOutput(id, "echo alive"), "alive\n");
  ASSERT_EQ(kill(shim, SIGCONT), 0);
  EXPECT_TRUE(client().StopContainer(id, 10).ok());
  EXPECT_EQ(StatusOf(id).exit_code(), 0);
}

TEST_F(RestartTest, ExitCodesOfThoseThatDiedMeanwhileAreKept) {
  std::string pod_id;
  const std::string by_itself =
      RunAlone(ShellConfig("itself",
                           "while ! test -e /go; do usleep 5000; done; "
                           "exit 42"),
               &pod_id);
  const pid_t told = HostPid(pod_id, by_itself);
  const std::string killed = RunAlone(IdleConfig("killed"), &pod_id);
  const pid_t pid = HostPid(pod_id, killed);
  KillDaemon();
  ASSERT_TRUE(WriteHostFile(absl::StrCat("/proc/", told, "/root/go"), ""));
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] { return kill(told, 0) != 0; }));
  StartDaemon();
  const cri::ContainerStatus first = WaitExited(by_itself);
  EXPECT_EQ(first.exit_code(), 42);
  EXPECT_EQ(first.reason(), "Error");
  EXPECT_GT(first.finished_at(), first.started_at());
  EXPECT_EQ(WaitExited(killed).exit_code(), 137);
}

TEST_F(RestartTest, REL_13_LogsHaveNoHole) {
  const std::string id = RunAlone(ShellConfig("counter", Counter()));
  const std::string path = StatusOf(id).log_path();
  for (int i = 0; i < 3; ++i) Restart();
  const size_t size = ReadHostFile(path).size();
  EXPECT_TRUE(Eventually([&] { return ReadHostFile(path).size() > size; }))
      << "it goes on";
  cri::ReopenContainerLogRequest request;
  request.set_container_id(id);
  EXPECT_TRUE(client().Call<cri::ReopenContainerLogResponse>(request).ok());
  EXPECT_TRUE(client().StopContainer(id, 0).ok());
  EXPECT_GT(CountedTo(ReadHostFile(path)), 10);
}

TEST_F(RestartTest, ACreatedContainerCanStillBeStarted) {
  const cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const auto id = client().CreateContainer(
      pod_id, ShellConfig("main", "echo started; exit 6"), pod);
  ASSERT_TRUE(id.ok()) << id.status();
  Restart();
  EXPECT_EQ(StatusOf(*id).state(), cri::CONTAINER_CREATED);
  EXPECT_TRUE(client().StartContainer(*id).ok());
  EXPECT_EQ(WaitExited(*id).exit_code(), 6);
  EXPECT_THAT(ReadHostFile(StatusOf(*id).log_path()),
              testing::HasSubstr("started"));
}

TEST_F(RestartTest, PodsStayUsable) {
  cri::PodSandboxConfig pod = Pod("pod");
  NamespaceOptions(&pod)->set_pid(cri::POD);
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig server =
      ShellConfig("server",
                  "mkdir /www; echo hi >/www/index.html; "
                  "exec httpd -f -p 80 -h /www");
  NamespaceOptions(&server)->set_pid(cri::POD);
  Run(pod_id, pod, server);
  Restart();
  const std::string ip =
      client().PodSandboxStatus(pod_id)->status().network().ip();
  EXPECT_EQ(HttpGet(ip, 80, "/").value_or("nothing"), "hi\n");
  cri::ContainerConfig more = IdleConfig("more");
  NamespaceOptions(&more)->set_pid(cri::POD);
  const std::string id = Run(pod_id, pod, more);
  EXPECT_THAT(ShellOutput(id, "ps -o args"), testing::HasSubstr("httpd"));
  // Addresses in use are not given away again.
  const std::string other = RunPod(Pod("other"));
  EXPECT_NE(client().PodSandboxStatus(other)->status().network().ip(), ip);
  // Names in use are still taken.
  EXPECT_EQ(RunPod(pod), pod_id);
}

TEST_F(RestartTest, ExitedAndStoppedThingsStayWhatTheyWere) {
  std::string pod_id;
  const std::string id = RunAlone(ShellConfig("main", "exit 9"), &pod_id);
  const std::string before = WaitExited(id).SerializeAsString();
  const std::string stopped = RunPod(Pod("stopped"));
  EXPECT_TRUE(client().StopPodSandbox(stopped).ok());
  Restart();
  EXPECT_EQ(StatusOf(id).SerializeAsString(), before);
  EXPECT_EQ(client().PodSandboxStatus(stopped)->status().state(),
            cri::SANDBOX_NOTREADY);
  EXPECT_EQ(client().PodSandboxStatus(pod_id)->status().state(),
            cri::SANDBOX_READY);
  EXPECT_TRUE(client().RemovePodSandbox(stopped).ok());
}

TEST_F(RestartTest, AnExecSessionOfADeadDaemonEnds) {
  const std::string id = RunAlone(IdleConfig("main"));
  std::thread session([socket = daemon().socket(), id] {
    EXPECT_FALSE(CriClient(socket).ExecSync(id, {"sleep", "8282"}).ok());
  });
  const auto alive = [] {
    for (const std::string& line : Processes(0)) {
      if (line.find("sleep 8282") != std::string::npos) return true;
    }
    return false;
  };
  EXPECT_TRUE(Eventually(alive));
  KillDaemon();
  session.join();
  StartDaemon();
  EXPECT_TRUE(Eventually([&] { return !alive(); }));
}

TEST_F(RestartTest, REL_2_ItIsReadySoonWithManyPods) {
  for (int i = 0; i < 30; ++i) {
    RunAlone(IdleConfig("c" + std::to_string(i)));
    ASSERT_FALSE(HasFailure());
  }
  Restart();
  EXPECT_LT(daemon().start_time(), Patience(absl::Seconds(5)));
  EXPECT_EQ(client().ListContainers()->size(), 30u);
}

// A container without a record whose shim hangs: its removal waits ten seconds
// for the shim. A start that removed before it served would take as long.
TEST_F(RestartTest, REL_5_AnOrphanThatTakesLongHoldsUpNoStart) {
  std::string pod_id;
  const std::string id = RunAlone(IdleConfig("main"), &pod_id);
  const std::string kept = RunAlone(IdleConfig("kept"));
  const pid_t pid = HostPid(pod_id, id);
  const pid_t shim = ParentOf(pid);
  ASSERT_GT(shim, 1);
  KillDaemon();
  ASSERT_EQ(kill(shim, SIGSTOP), 0);
  const std::string state = daemon().state_dir();
  ASSERT_EQ(RunCommand({"rm", "-r", state + "/containers/" + id,
                        state + "/sandboxes/" + pod_id})
                .exit_code,
            0);
  StartDaemon();
  EXPECT_LT(daemon().start_time(), Patience(absl::Seconds(2)));
  const auto shim_lives = [&] { return kill(shim, 0) == 0; };
  EXPECT_TRUE(shim_lives()) << "it was waited for before calls were served";
  // Everything is served meanwhile, and the orphan is nobody's.
  EXPECT_EQ(StatusOf(kept).state(), cri::CONTAINER_RUNNING);
  EXPECT_EQ(client().ListContainers()->size(), 1u);
  EXPECT_TRUE(client().RemovePodSandbox(pod_id).ok());
  const std::string next = RunAlone(IdleConfig("next"));
  EXPECT_EQ(ShellOutput(next, "echo served"), "served\n");
  const auto left = [&] {
    const std::string run = daemon().run_dir();
    return RunCommand({"ls", run + "/containers/" + id}).exit_code == 0 ||
           RunCommand({"ls", run + "/sandboxes/" + pod_id}).exit_code == 0;
  };
  EXPECT_TRUE(
      Eventually([&] { return !shim_lives() && !left(); }, absl::Seconds(20)));
  EXPECT_NE(kill(pid, 0), 0) << "its program runs on";
  EXPECT_EQ(StatusOf(kept).state(), cri::CONTAINER_RUNNING);
}

TEST_F(RestartTest, REL_24_WithoutItsRunFolderPodsAreNotReady) {
  // What a reboot does to a node, as far as files and processes go.
  std::string pod_id;
  const std::string id = RunAlone(IdleConfig("main"), &pod_id);
  const pid_t pid = HostPid(pod_id, id);
  KillDaemon();
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  EXPECT_TRUE(Eventually([] { return Processes(0).empty(); }));
  const std::string pins = daemon().run_dir() + "/pins.mnt";
  RunCommand({"umount", "-l", pins});
  RunCommand({"umount", "-l", daemon().run_dir()});
  RunCommand(
      {"find", daemon().run_dir(), "-xdev", "-mindepth", "1", "-delete"});
  StartDaemon();
  if (HasFatalFailure()) return;
  EXPECT_EQ(client().PodSandboxStatus(pod_id)->status().state(),
            cri::SANDBOX_NOTREADY);
  const cri::ContainerStatus status = StatusOf(id);
  EXPECT_EQ(status.state(), cri::CONTAINER_EXITED);
  EXPECT_NE(status.exit_code(), 0);
  EXPECT_EQ(client().ListPodSandbox()->size(), 1u);
  EXPECT_FALSE(RunPod(Pod("after")).empty());
}

}  // namespace
}  // namespace warren::test
