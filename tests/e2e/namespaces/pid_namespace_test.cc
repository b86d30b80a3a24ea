// The pid namespace: CONTAINER, POD, NODE and TARGET.
#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

class PidNamespaceTest : public CriTest {
 protected:
  // A pod and its containers, all in `mode`.
  std::string RunIn(cri::NamespaceMode mode,
                    const std::vector<cri::ContainerConfig>& containers) {
    cri::PodSandboxConfig pod = Pod("pod");
    NamespaceOptions(&pod)->set_pid(mode);
    const std::string pod_id = RunPod(pod);
    for (cri::ContainerConfig config : containers) {
      NamespaceOptions(&config)->set_pid(mode);
      ids_.push_back(Run(pod_id, pod, config));
    }
    return pod_id;
  }

  std::vector<std::string> ids_;
};

TEST_F(PidNamespaceTest, InAContainerOfItsOwnTheProgramIsPid1) {
  const std::string pod_id =
      RunIn(cri::CONTAINER, {IdleConfig("a"), IdleConfig("b")});
  for (const std::string& id : ids_) {
    EXPECT_THAT(ShellOutput(id, "tr '\\0' ' ' </proc/1/cmdline"),
                testing::HasSubstr("sleep 1000"));
  }
  // One process, two numbers.
  const pid_t outside = HostPid(pod_id, ids_[0]);
  EXPECT_NE(outside, 1);
  EXPECT_THAT(ProcessStatus(outside, "NSpid"), testing::EndsWith(" 1"));
  EXPECT_NE(NamespaceInode(outside, "pid"), NamespaceInode(getpid(), "pid"));
  EXPECT_NE(NamespaceInode(outside, "pid"),
            NamespaceInode(HostPid(pod_id, ids_[1]), "pid"));
  // The other container's processes are not to be seen.
  // Their programs may be about to fork.
  EXPECT_TRUE(Eventually([&] {
    return ShellOutput(ids_[0], "ls /proc | grep -c '^[0-9]*$'") ==
           ShellOutput(ids_[1], "ls /proc | grep -c '^[0-9]*$'");
  }));
}

TEST_F(PidNamespaceTest, InspectionShowsBothNumbers) {
  const std::string pod_id = RunIn(cri::CONTAINER, {IdleConfig("a")});
  const auto view = client().InspectPodSandbox(pod_id);
  ASSERT_TRUE(view.ok()) << view.status();
  ASSERT_EQ(view->containers_size(), 1);
  ASSERT_GE(view->containers(0).processes_size(), 1);
  const node::Process& process = view->containers(0).processes(0);
  EXPECT_EQ(process.inner_pid(), 1);
  EXPECT_THAT(ProcessStatus(process.host_pid(), "NSpid"),
              testing::EndsWith(" 1"));
}

TEST_F(PidNamespaceTest, APodsContainersShareOneAndAReaperIsPid1) {
  const std::string pod_id =
      RunIn(cri::POD, {ShellConfig("a", "exec sleep 1111"),
                       ShellConfig("b", "exec sleep 2222")});
  for (const std::string& id : ids_) {
    const std::string processes = ShellOutput(id, "ps -o args");
    EXPECT_THAT(processes, testing::HasSubstr("sleep 1111"));
    EXPECT_THAT(processes, testing::HasSubstr("sleep 2222"));
    EXPECT_EQ(ShellOutput(id,
                          "tr '\\0' ' ' </proc/1/cmdline | "
                          "grep -c sleep || true"),
              "0\n");
  }
  const auto view = client().InspectPodSandbox(pod_id);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->pod().pod_init().inner_pid(), 1);
  EXPECT_GT(view->pod().pod_init().host_pid(), 1);
}

TEST_F(PidNamespaceTest, REL_10_OrphansAreReaped) {
  // Many processes whose parent has gone, in the pod's namespace and in a
  // container's own.
  for (const cri::NamespaceMode mode : {cri::POD, cri::CONTAINER}) {
    ids_.clear();
    RunIn(mode, {IdleConfig("a")});
    for (int i = 0; i < 5; ++i) {
      ShellOutput(ids_[0],
                  "for i in 1 2 3 4 5 6 7 8; do (true & true &); done");
    }
    EXPECT_TRUE(Eventually([&] {
      return ShellOutput(ids_[0],
                         "grep -l 'State:.Z' /proc/[0-9]*/status 2>/dev/null |"
                         " wc -l") == "0\n";
    })) << "zombies in pid mode "
        << mode;
    RemoveAllPods();
  }
}

// What an exec session leaves in the background is no child of the container's
// shim, and no first process takes it along.
TEST_F(PidNamespaceTest, WhatAnExecLeftBehindEndsWithTheContainer) {
  for (const cri::NamespaceMode mode : {cri::POD, cri::NODE}) {
    ids_.clear();
    const std::string until_told = "while ! test -e /go; do usleep 9999; done";
    RunIn(mode, {ShellConfig("a", until_told), ShellConfig("b", until_told)});
    for (const std::string& id : ids_) {
      ShellOutput(id, "exec >/dev/null 2>&1; (setsid sleep 5175 &)");
    }
    const auto left = [] {
      return RunCommand({"pgrep", "-c", "-f", "^sleep 5175"}).out;
    };
    EXPECT_TRUE(Eventually([&] { return left() == "2\n"; }))
        << "in pid mode " << mode;
    // The session may end with the container that it ends.
    client().ExecSync(ids_[0], {"touch", "/go"}).IgnoreError();
    WaitExited(ids_[0]);
    EXPECT_TRUE(Eventually([&] { return left() == "1\n"; }))
        << "the other container's stays, in pid mode " << mode;
    RemoveAllPods();
    EXPECT_EQ(left(), "0\n");
  }
}

// In the node's pid namespace what loses its parent is given to the agent.
TEST_F(PidNamespaceTest, REL_10_OrphansInNodeModeAreReapedByTheAgent) {
  RunIn(cri::NODE, {IdleConfig("a")});
  const auto zombies = [&] {
    return RunCommand({"sh", "-c",
                       "grep -l 'State:.Z' /proc/[0-9]*/status 2>/dev/null | "
                       "wc -l"})
        .out;
  };
  const std::string before = zombies();
  for (int i = 0; i < 20; ++i) {
    ShellOutput(ids_[0], "exec >/dev/null 2>&1; (usleep 20000 &)");
  }
  EXPECT_TRUE(Eventually([&] {
    ShellOutput(ids_[0], "true");
    return zombies() == before;
  })) << zombies();
}

TEST_F(PidNamespaceTest, TheReaperIgnoresWhatContainersSendIt) {
  RunIn(cri::POD, {IdleConfig("a")});
  ShellOutput(ids_[0], "kill -TERM 1; kill -INT 1; kill -KILL 1; true");
  EXPECT_EQ(ShellOutput(ids_[0], "echo alive"), "alive\n");
  EXPECT_EQ(StatusOf(ids_[0]).state(), cri::CONTAINER_RUNNING);
}

TEST_F(PidNamespaceTest, NodeModeSeesTheNodesProcesses) {
  const std::string pod_id = RunIn(cri::NODE, {IdleConfig("a")});
  const pid_t pid = HostPid(pod_id, ids_[0]);
  EXPECT_EQ(NamespaceInode(pid, "pid"), NamespaceInode(getpid(), "pid"));
  const std::string me = std::to_string(getpid());
  EXPECT_EQ(ShellOutput(ids_[0], "test -d /proc/" + me + " && echo yes"),
            "yes\n");
}

TEST_F(PidNamespaceTest, TargetModeJoinsAnotherContainersNamespace) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const std::string target =
      Run(pod_id, pod, ShellConfig("target", "exec sleep 3333"));
  cri::ContainerConfig config = IdleConfig("debugger");
  NamespaceOptions(&config)->set_pid(cri::TARGET);
  NamespaceOptions(&config)->set_target_id(target);
  const std::string debugger = Run(pod_id, pod, config);
  EXPECT_EQ(ShellOutput(debugger, "tr '\\0' ' ' </proc/1/cmdline"),
            "sleep 3333 ");
  EXPECT_EQ(NamespaceInode(HostPid(pod_id, debugger), "pid"),
            NamespaceInode(HostPid(pod_id, target), "pid"));
  // The target's end is the end of its pid namespace.
  EXPECT_TRUE(client().StopContainer(target, 0).ok());
  EXPECT_EQ(WaitExited(debugger).exit_code(), 137);
}

TEST_F(PidNamespaceTest, ATargetThatDoesNotRunIsRefused) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const std::string target = Run(pod_id, pod, ShellConfig("target", "true"));
  WaitExited(target);
  cri::ContainerConfig config = IdleConfig("debugger");
  NamespaceOptions(&config)->set_pid(cri::TARGET);
  NamespaceOptions(&config)->set_target_id(target);
  EXPECT_CODE(client().CreateContainer(pod_id, config, pod).status(),
              kFailedPrecondition);
}

TEST_F(PidNamespaceTest, ATargetOfAnotherPodIsRefused) {
  const std::string stranger = RunAlone(IdleConfig("stranger"));
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = IdleConfig("debugger");
  NamespaceOptions(&config)->set_pid(cri::TARGET);
  NamespaceOptions(&config)->set_target_id(stranger);
  const absl::Status status =
      client().CreateContainer(pod_id, config, pod).status();
  EXPECT_CODE(status, kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("target_id"));
}

}  // namespace
}  // namespace warren::test
