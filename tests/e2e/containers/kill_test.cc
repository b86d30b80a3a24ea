// REL-11: containers that are frozen or many die, and an exec into a frozen one
// ends; the pod init that is killed takes the pod with it.
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/e2e/resources/resources_test.h"
#include "tests/support/ledger_probes.h"

namespace warren::test {
namespace {

class KillTest : public CriTest {
 protected:
  static bool V2() { return HostFileExists("/sys/fs/cgroup/cgroup.procs"); }
  // The directory of a cgroup where it can be frozen.
  static std::string FreezerDirectory(const std::string& path) {
    return absl::StrCat("/sys/fs/cgroup", V2() ? "" : "/freezer", path);
  }
  static void Freeze(const std::string& path, bool frozen) {
    const std::string directory = FreezerDirectory(path);
    ASSERT_TRUE(
        V2() ? WriteHostFile(directory + "/cgroup.freeze", frozen ? "1" : "0")
             : WriteHostFile(directory + "/freezer.state",
                             frozen ? "FROZEN" : "THAWED"))
        << directory;
  }
  std::string CgroupOf(const std::string& pod_id, const std::string& id) {
    const auto view = client().InspectPodSandbox(pod_id);
    EXPECT_TRUE(view.ok()) << view.status();
    if (!view.ok()) return "";
    for (const node::ContainerView& container : view->containers()) {
      if (container.id() == id) return container.cgroup_path();
    }
    ADD_FAILURE() << "no container " << id;
    return "";
  }
  static std::string Seen(const std::string& what) {
    std::string found;
    for (const std::string& line : Processes(0)) {
      if (line.find(what) != std::string::npos) found += line + "\n";
    }
    return found;
  }
};

TEST_F(KillTest, REL_11_AContainerThatWasFrozenFromOutsideDies) {
  for (const int64_t grace : {0, 1}) {
    std::string pod_id;
    const std::string id =
        RunAlone(IdleConfig(absl::StrCat("main", grace)), &pod_id);
    Freeze(CgroupOf(pod_id, id), true);
    const absl::Status stopped = client().StopContainer(id, grace);
    EXPECT_TRUE(stopped.ok()) << stopped;
    EXPECT_EQ(StatusOf(id).state(), cri::CONTAINER_EXITED);
    EXPECT_EQ(StatusOf(id).exit_code(), 137);
  }
}

TEST_F(KillTest, REL_11_ACgroupOfItsOwnThatIsFrozenDies) {
  std::string pod_id;
  const std::string id = RunAlone(IdleConfig("main"), &pod_id);
  const std::string inner = CgroupOf(pod_id, id) + "/inner";
  const std::string directory = FreezerDirectory(inner);
  ASSERT_EQ(mkdir(directory.c_str(), 0755), 0);
  ASSERT_TRUE(WriteHostFile(directory + "/cgroup.procs",
                            absl::StrCat(HostPid(pod_id, id))));
  Freeze(inner, true);
  const absl::Status removed = client().RemoveContainer(id);
  EXPECT_TRUE(removed.ok()) << removed;
}

TEST_F(KillTest, REL_11_AFrozenCgroupAboveItIsNamedAndTheNextTrySucceeds) {
  KubeletCgroup kubelet("frozen");
  cri::PodSandboxConfig pod = Pod("pod");
  pod.mutable_linux()->set_cgroup_parent(kubelet.path());
  const std::string pod_id = RunPod(pod);
  const std::string id = Run(pod_id, pod, IdleConfig("main"));
  const std::string other = RunAlone(IdleConfig("other"));
  Freeze(kubelet.path(), true);
  const std::vector<absl::Status> tries = {client().StopContainer(id, 0),
                                           client().StopPodSandbox(pod_id)};
  for (const absl::Status& status : tries) {
    if (V2()) {
      EXPECT_TRUE(status.ok()) << status;
      continue;
    }
    EXPECT_CODE(status, kFailedPrecondition);
    EXPECT_THAT(status.message(),
                testing::HasSubstr("\"" + kubelet.path() + "\""));
  }
  EXPECT_TRUE(client().StopContainer(other, 0).ok()) << "it is not concerned";
  EXPECT_EQ(StatusOf(id).state(),
            V2() ? cri::CONTAINER_EXITED : cri::CONTAINER_RUNNING);
  Freeze(kubelet.path(), false);
  EXPECT_TRUE(client().StopContainer(id, 0).ok());
  EXPECT_EQ(StatusOf(id).state(), cri::CONTAINER_EXITED);
  EXPECT_EQ(StatusOf(id).exit_code(), 137);
  EXPECT_TRUE(client().StopPodSandbox(pod_id).ok());
  RemoveAllPods();
}

TEST_F(KillTest, REL_11_AnExecIntoAFrozenContainerEndsWithItsTimeOut) {
  std::string pod_id;
  const std::string id = RunAlone(IdleConfig("main"), &pod_id);
  const std::string cgroup = CgroupOf(pod_id, id);
  Freeze(cgroup, true);
  const absl::Time begin = absl::Now();
  EXPECT_CODE(client().ExecSync(id, {"true"}, 2).status(), kDeadlineExceeded);
  EXPECT_LT(absl::Now() - begin, Patience(absl::Milliseconds(2500)));
  Freeze(cgroup, false);
  EXPECT_EQ(ExitCodeOf(id, {"true"}), 0);
}

TEST_F(KillTest, REL_11_ATreeOfAThousandProcessesDies) {
  for (const cri::NamespaceMode mode : {cri::CONTAINER, cri::POD}) {
    cri::PodSandboxConfig pod = Pod(absl::StrCat("pod", mode));
    NamespaceOptions(&pod)->set_pid(mode);
    const std::string pod_id = RunPod(pod);
    cri::ContainerConfig config =
        ShellConfig("main",
                    "trap '' TERM; i=0; while [ $i -lt 1000 ]; do "
                    "sleep 4711 & i=$((i+1)); done; echo up; wait; sleep 4711");
    NamespaceOptions(&config)->set_pid(mode);
    const std::string id = Run(pod_id, pod, config);
    EXPECT_TRUE(Eventually([&] {
      return ReadHostFile(StatusOf(id).log_path()).find("up") !=
             std::string::npos;
    }));
    const absl::Status stopped = client().StopContainer(id, 1);
    EXPECT_TRUE(stopped.ok()) << stopped;
    EXPECT_EQ(StatusOf(id).exit_code(), 137);
    EXPECT_EQ(Seen("sleep 4711"), "") << "pid mode " << mode;
  }
}

TEST_F(KillTest, TheEndOfAPodInitIsTheEndOfThePod) {
  for (const bool restarted : {false, true}) {
    cri::PodSandboxConfig pod = Pod(absl::StrCat("pod", restarted));
    NamespaceOptions(&pod)->set_pid(cri::POD);
    const std::string pod_id = RunPod(pod);
    cri::ContainerConfig config = IdleConfig("main");
    NamespaceOptions(&config)->set_pid(cri::POD);
    const std::string id = Run(pod_id, pod, config);
    if (restarted) {
      KillDaemon();
      StartDaemon();
    }
    const auto view = client().InspectPodSandbox(pod_id);
    ASSERT_TRUE(view.ok()) << view.status();
    ASSERT_EQ(kill(view->pod().pod_init().host_pid(), SIGKILL), 0);
    EXPECT_TRUE(Eventually(
        [&] {
          const auto status = client().PodSandboxStatus(pod_id);
          return status.ok() &&
                 status->status().state() == cri::SANDBOX_NOTREADY;
        },
        absl::Seconds(1)));
    EXPECT_THAT(client().PodSandboxStatus(pod_id, true)->info().at("info"),
                testing::HasSubstr("the pod init has ended"));
    const auto late = client().CreateContainer(pod_id, IdleConfig("late"), pod);
    EXPECT_CODE(late.status(), kFailedPrecondition);
    EXPECT_THAT(late.status().message(),
                testing::HasSubstr("the pod init has ended"));
    EXPECT_EQ(WaitExited(id).exit_code(), 137);
    EXPECT_TRUE(client().StopPodSandbox(pod_id).ok());
    EXPECT_TRUE(client().RemovePodSandbox(pod_id).ok());
  }
}

}  // namespace
}  // namespace warren::test
