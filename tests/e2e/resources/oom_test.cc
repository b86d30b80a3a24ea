// Out of memory: who dies, what is reported, and what stays.
#include <signal.h>

#include "tests/e2e/resources/resources_test.h"
#include "tests/support/ledger_probes.h"

namespace warren::test {
namespace {

class OomTest : public ResourcesTest {
 protected:
  // Runs `script` with 32 MiB of memory and no swap; /probe eats.
  cri::ContainerConfig Tight(const std::string& name,
                             const std::string& script) {
    cri::ContainerConfig config = ShellConfig(name, script);
    AddProbe(&config);
    Resources(&config)->set_memory_limit_in_bytes(32 << 20);
    return config;
  }
  std::string LogOf(const std::string& id) {
    return ReadHostFile(StatusOf(id).log_path());
  }
};

TEST_F(OomTest, ThePrograms137IsOomKilled) {
  cri::ContainerConfig config =
      ContainerConfig("init", {"/probe", "eat", "200"});
  AddProbe(&config);
  Resources(&config)->set_memory_limit_in_bytes(32 << 20);
  const cri::ContainerStatus status = WaitExited(Start(config));
  EXPECT_EQ(status.exit_code(), 137);
  EXPECT_EQ(status.reason(), "OOMKilled");
  EXPECT_EQ(status.message(), "");
}

TEST_F(OomTest, AHogThatReadsIsKilledToo) {
  cri::ContainerConfig config = ContainerConfig("tail", {"tail", "/dev/zero"});
  Resources(&config)->set_memory_limit_in_bytes(32 << 20);
  const cri::ContainerStatus status = WaitExited(Start(config));
  EXPECT_EQ(status.exit_code(), 137);
  EXPECT_EQ(status.reason(), "OOMKilled");
}

TEST_F(OomTest, AChildsDeathThatAShellPassesOnIsOomKilled) {
  const cri::ContainerStatus status =
      WaitExited(Start(Tight("shell", "/probe eat 200; exit $?")));
  EXPECT_EQ(status.exit_code(), 137);
  EXPECT_EQ(status.reason(), "OOMKilled");
}

TEST_F(OomTest, AProgramThatOutlivesAChildEndsForItsOwnReasons) {
  cri::ContainerStatus status =
      WaitExited(Start(Tight("good", "/probe eat 200; exit 0")));
  EXPECT_EQ(status.exit_code(), 0);
  EXPECT_EQ(status.reason(), "Completed");
  status = WaitExited(Start(Tight("bad", "/probe eat 200; exit 3")));
  EXPECT_EQ(status.exit_code(), 3);
  EXPECT_EQ(status.reason(), "Error");
  EXPECT_THAT(status.message(), testing::HasSubstr("out of memory"));
}

TEST_F(OomTest, A137WithoutTheOomKillerIsAnError) {
  const cri::ContainerStatus status =
      WaitExited(Start(Tight("killed", "exit 137")));
  EXPECT_EQ(status.exit_code(), 137);
  EXPECT_EQ(status.reason(), "Error");
}

TEST_F(OomTest, AnExecSessionThatIsKilledReturns137) {
  const std::string id = Start(Tight("main",
                                     "trap 'exit 0' TERM; "
                                     "while :; do sleep 0.1; done"));
  const auto result = client().ExecSync(id, {"/probe", "eat", "200"});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code(), 137);
  EXPECT_EQ(StatusOf(id).state(), cri::CONTAINER_RUNNING);
  EXPECT_TRUE(client().StopContainer(id, 10).ok());
  EXPECT_EQ(StatusOf(id).reason(), "Completed");
}

TEST_F(OomTest, ALimitLoweredByAnUpdateKillsTheNextHog) {
  const std::string id =
      Start(Tight("main",
                  "while ! test -e /go; do usleep 5000; done; /probe eat 20; "
                  "exit $?"));
  ASSERT_TRUE(
      Update(id, ParseResources("memory_limit_in_bytes: 12582912")).ok());
  // The session may end with the container that it ends.
  client().ExecSync(id, {"touch", "/go"}).IgnoreError();
  const cri::ContainerStatus status = WaitExited(id);
  EXPECT_EQ(status.exit_code(), 137);
  EXPECT_EQ(status.reason(), "OOMKilled");
}

TEST_F(OomTest, REL_1_WhatHappensWhileTheAgentIsAwayIsKnown) {
  const std::string id =
      Start(Tight("main",
                  "echo up; while ! test -e /go; do usleep 5000; done; "
                  "exec /probe eat 200"));
  ASSERT_TRUE(
      Eventually([&] { return LogOf(id).find("up") != std::string::npos; }));
  const pid_t pid = HostPid(pod_id_, id);
  KillDaemon();
  ASSERT_TRUE(WriteHostFile(absl::StrCat("/proc/", pid, "/root/go"), ""));
  EXPECT_TRUE(Eventually([&] { return kill(pid, 0) != 0; }));
  StartDaemon();
  const cri::ContainerStatus status = WaitExited(id);
  EXPECT_EQ(status.exit_code(), 137);
  EXPECT_EQ(status.reason(), "OOMKilled");
}

// CVE-2019-14891: what watches a container is not in the pod's cgroup, so that
// the pod's own limit cannot hit it. The log and the exit are kept.
TEST_F(OomTest, CPP_4_PodOomKeepsLogAndExit) {
  KubeletCgroup kubelet("oom-pod");
  const std::string memory = kubelet.DirectoryOf("memory");
  if (memory.empty()) GTEST_SKIP() << "no memory controller";
  for (const char* file : {"/memory.limit_in_bytes",
                           "/memory.memsw.limit_in_bytes", "/memory.max"}) {
    if (HostFileExists(memory + file)) {
      ASSERT_TRUE(WriteHostFile(memory + file, "50331648"));
    }
  }
  // v2 counts swap apart from memory.
  if (HostFileExists(memory + "/memory.swap.max")) {
    ASSERT_TRUE(WriteHostFile(memory + "/memory.swap.max", "0"));
  }
  cri::PodSandboxConfig pod = Pod("oom");
  pod.mutable_linux()->set_cgroup_parent(kubelet.path());
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config =
      ShellConfig("main", "echo before; exec /probe eat 200");
  AddProbe(&config);
  cri::ContainerConfig idle = IdleConfig("idle");
  const std::string neighbour = Run(pod_id, pod, idle);
  const pid_t watched = HostPid(pod_id, neighbour);
  const std::string parent = ProcessStatus(watched, "PPid");
  EXPECT_THAT(ReadHostFile("/proc/" + parent + "/cgroup"),
              testing::Not(testing::HasSubstr(kubelet.path())));
  const cri::ContainerStatus status = WaitExited(Run(pod_id, pod, config));
  EXPECT_EQ(status.exit_code(), 137);
  EXPECT_EQ(status.reason(), "OOMKilled");
  EXPECT_THAT(ReadHostFile(status.log_path()),
              testing::HasSubstr("stdout F before\n"));
  RemoveAllPods();
}

}  // namespace
}  // namespace warren::test
