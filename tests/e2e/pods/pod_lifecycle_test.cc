// RunPodSandbox, PodSandboxStatus, StopPodSandbox, RemovePodSandbox: what they
// do and what a repeated call does.
#include <absl/time/clock.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/node_namespace.h"

namespace warren::test {
namespace {

class PodLifecycleTest : public CriTest {};

TEST_F(PodLifecycleTest, StatusHasEveryFieldAKubeletChecks) {
  cri::PodSandboxConfig config = Pod("full");
  config.mutable_metadata()->set_attempt(3);
  (*config.mutable_labels())["io.kubernetes.pod.uid"] = "u1";
  (*config.mutable_annotations())["a/b"] = "kept as it is";
  const int64_t before = absl::ToUnixNanos(absl::Now());
  const std::string id = RunPod(config);
  EXPECT_THAT(id, testing::MatchesRegex("[0-9a-f]+"));
  EXPECT_EQ(id.size(), 64u);
  const auto reply = client().PodSandboxStatus(id);
  ASSERT_TRUE(reply.ok()) << reply.status();
  const cri::PodSandboxStatus& status = reply->status();
  EXPECT_EQ(status.id(), id);
  EXPECT_EQ(status.metadata().SerializeAsString(),
            config.metadata().SerializeAsString());
  EXPECT_EQ(status.state(), cri::SANDBOX_READY);
  EXPECT_GE(status.created_at(), before);
  EXPECT_LE(status.created_at(), absl::ToUnixNanos(absl::Now()));
  EXPECT_THAT(status.network().ip(), testing::StartsWith("10.88."));
  EXPECT_EQ(status.linux().namespaces().options().SerializeAsString(),
            config.linux()
                .security_context()
                .namespace_options()
                .SerializeAsString());
  EXPECT_EQ(status.labels().at("io.kubernetes.pod.uid"), "u1");
  EXPECT_EQ(status.annotations().at("a/b"), "kept as it is");
  EXPECT_TRUE(reply->info().empty());
}

TEST_F(PodLifecycleTest, VerboseStatusHasJson) {
  const std::string id = RunPod(Pod("verbose"));
  const auto reply = client().PodSandboxStatus(id, true);
  ASSERT_TRUE(reply.ok()) << reply.status();
  ASSERT_TRUE(reply->info().contains("info"));
  EXPECT_THAT(reply->info().at("info"), testing::StartsWith("{"));
}

TEST_F(PodLifecycleTest, TheSameRequestAgainReturnsTheSamePod) {
  const cri::PodSandboxConfig config = Pod("same");
  const std::string id = RunPod(config);
  EXPECT_EQ(RunPod(config), id);
  EXPECT_EQ(client().ListPodSandbox()->size(), 1u);
}

TEST_F(PodLifecycleTest, TheSameRequestManyTimesAtOnceMakesOnePod) {
  const cri::PodSandboxConfig config = Pod("race");
  std::vector<std::string> ids(8);
  std::vector<std::thread> threads;
  for (std::string& id : ids) {
    threads.emplace_back([&] {
      CriClient own(daemon().socket());
      auto made = own.RunPodSandbox(config);
      EXPECT_TRUE(made.ok()) << made.status();
      id = made.value_or("");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(ids, testing::Each(ids[0]));
  EXPECT_EQ(client().ListPodSandbox()->size(), 1u);
}

TEST_F(PodLifecycleTest, AnotherAttemptIsAnotherPod) {
  cri::PodSandboxConfig config = Pod("again");
  const std::string first = RunPod(config);
  config.mutable_metadata()->set_attempt(1);
  const std::string second = RunPod(config);
  EXPECT_NE(first, second);
  EXPECT_NE(client().PodSandboxStatus(first)->status().network().ip(),
            client().PodSandboxStatus(second)->status().network().ip());
}

TEST_F(PodLifecycleTest, AStoppedPodStaysListedWithItsContainersExited) {
  cri::PodSandboxConfig config = Pod("stopped");
  (*config.mutable_labels())["k"] = "v";
  const std::string id = RunPod(config);
  const std::string container = Run(id, config, IdleConfig("main"));
  EXPECT_TRUE(client().StopPodSandbox(id).ok());
  const auto status = client().PodSandboxStatus(id);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->status().state(), cri::SANDBOX_NOTREADY);
  EXPECT_EQ(status->status().labels().at("k"), "v");
  EXPECT_EQ(StatusOf(container).state(), cri::CONTAINER_EXITED);
  EXPECT_FALSE(client().CreateContainer(id, IdleConfig("more"), config).ok());
  EXPECT_TRUE(client().StopPodSandbox(id).ok()) << "a second time";
}

TEST_F(PodLifecycleTest, StopAndRemoveOfAnUnknownPodSucceed) {
  const std::string unknown(64, 'f');
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(client().StopPodSandbox(unknown).ok());
    EXPECT_TRUE(client().RemovePodSandbox(unknown).ok());
  }
  EXPECT_CODE(client().PodSandboxStatus(unknown).status(), kNotFound);
}

TEST_F(PodLifecycleTest, RemoveStopsWhatStillRunsAndFreesTheName) {
  const cri::PodSandboxConfig config = Pod("forced");
  const std::string id = RunPod(config);
  const std::string container = Run(id, config, IdleConfig("main"));
  EXPECT_TRUE(client().RemovePodSandbox(id).ok());
  EXPECT_CODE(client().PodSandboxStatus(id).status(), kNotFound);
  EXPECT_CODE(client().ContainerStatus(container).status(), kNotFound);
  EXPECT_TRUE(client().RemovePodSandbox(id).ok()) << "a second time";
  EXPECT_NE(RunPod(config), id);
}

TEST_F(PodLifecycleTest, ManyPodsStopAndRemoveAtOnceWithRepeats) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([this, i] {
      CriClient own(daemon().socket());
      const auto id = own.RunPodSandbox(Pod("many-" + std::to_string(i)));
      ASSERT_TRUE(id.ok()) << id.status();
      std::thread other([&] {
        EXPECT_TRUE(CriClient(daemon().socket()).StopPodSandbox(*id).ok());
      });
      EXPECT_TRUE(own.StopPodSandbox(*id).ok());
      EXPECT_TRUE(own.RemovePodSandbox(*id).ok());
      other.join();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(client().ListPodSandbox()->empty());
}

TEST_F(PodLifecycleTest, HostnameDnsAndHostsFilesAreMade) {
  cri::PodSandboxConfig config = Pod("files");
  config.mutable_dns_config()->add_servers("192.0.2.53");
  config.mutable_dns_config()->add_servers("192.0.2.54");
  config.mutable_dns_config()->add_searches("a.test");
  config.mutable_dns_config()->add_searches("b.test");
  config.mutable_dns_config()->add_options("ndots:5");
  const std::string id = RunPod(config);
  const std::string container = Run(id, config, IdleConfig("main"));
  EXPECT_EQ(ShellOutput(container, "cat /etc/resolv.conf"),
            "search a.test b.test\nnameserver 192.0.2.53\n"
            "nameserver 192.0.2.54\noptions ndots:5\n");
  EXPECT_EQ(ShellOutput(container,
                        "cat /etc/hostname; hostname; "
                        "echo $HOSTNAME"),
            "files\nfiles\nfiles\n");
  EXPECT_THAT(ShellOutput(container, "cat /etc/hosts"),
              testing::HasSubstr("localhost"));
}

TEST_F(PodLifecycleTest, AGivenCgroupParentIsUsedAndNeverDeleted) {
  cri::PodSandboxConfig config = Pod("cgroups");
  config.mutable_linux()->set_cgroup_parent(CgroupParent() + "/kube/pod1");
  std::string pids_mount;
  for (const std::string& mount : CgroupMounts()) {
    if (mount.find("pids") != std::string::npos) pids_mount = mount;
  }
  if (pids_mount.empty()) pids_mount = CgroupMounts().front();
  const std::string parent = pids_mount + CgroupParent() + "/kube/pod1";
  const CommandResult made = RunCommand({"mkdir", "-p", parent});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const std::string id = RunPod(config);
  const std::string container = Run(id, config, IdleConfig("main"));
  // In the leaf, or in the one below it that the program sees as its root.
  const std::string leaf = parent + "/" + container;
  EXPECT_NE(ReadHostFile(leaf + "/cgroup.procs") +
                ReadHostFile(leaf + "/container/cgroup.procs"),
            "");
  RemoveAllPods();
  EXPECT_FALSE(HostFileExists(parent + "/" + container));
  EXPECT_TRUE(HostFileExists(parent)) << "belongs to the kubelet";
  for (const std::string& mount : CgroupMounts()) {
    const std::string kube = mount + CgroupParent() + "/kube";
    RunCommand({"rmdir", kube + "/pod1", kube});
  }
}

TEST_F(PodLifecycleTest, SysctlsAreSetInsideThePodOnly) {
  cri::PodSandboxConfig config = Pod("sysctls");
  auto* sysctls = config.mutable_linux()->mutable_sysctls();
  (*sysctls)["kernel.shm_rmid_forced"] = "1";
  (*sysctls)["fs.mqueue.msg_max"] = "100";
  (*sysctls)["net.ipv4.ip_local_port_range"] = "2000 3000";
  const std::string outside =
      ReadHostFile("/proc/sys/net/ipv4/ip_local_port_range");
  const std::string id = RunPod(config);
  const std::string container = Run(id, config, IdleConfig("main"));
  EXPECT_EQ(ShellOutput(container,
                        "cd /proc/sys; cat kernel/shm_rmid_forced "
                        "fs/mqueue/msg_max "
                        "net/ipv4/ip_local_port_range"),
            "1\n100\n2000\t3000\n");
  EXPECT_EQ(ReadHostFile("/proc/sys/net/ipv4/ip_local_port_range"), outside);
  EXPECT_EQ(ReadHostFile("/proc/sys/kernel/shm_rmid_forced"), "0\n");
}

}  // namespace
}  // namespace warren::test
