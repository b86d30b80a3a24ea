// Resources and security contexts as a stock kubelet sends them.
#include <string>

#include "tests/e2e/kubelet/pod.h"
#include "tests/support/cri_test.h"
#include "tests/support/require.h"

namespace warren::test {
namespace {

constexpr int kCapSysResource = 24;

class KubeletSecurityTest : public CriTest {
 protected:
  std::string Node() { return daemon().directory() + "/node"; }
};

TEST_F(KubeletSecurityTest, AGuaranteedPodAndItsSysctls) {
  KubeletPod pod(client(), "guaranteed", Node());
  pod.RunSandbox();
  const std::string app = pod.Start(0);
  if (pod.unified()) {
    EXPECT_EQ(pod.CgroupValue("", "memory.max", app), "134217728");
    EXPECT_EQ(pod.CgroupValue("", "cpu.max", app), "100000 100000");
    EXPECT_EQ(pod.CgroupValue("", "memory.oom.group", app), "1");
    EXPECT_EQ(pod.CgroupValue("", "memory.max"), "134217728");
  } else {
    EXPECT_EQ(pod.CgroupValue("memory", "memory.limit_in_bytes", app),
              "134217728");
    EXPECT_EQ(pod.CgroupValue("cpu", "cpu.shares", app), "1024");
    EXPECT_EQ(pod.CgroupValue("cpu", "cpu.cfs_quota_us", app), "100000");
    // What the kubelet wrote into the pod's stays.
    EXPECT_EQ(pod.CgroupValue("memory", "memory.limit_in_bytes"), "134217728");
    EXPECT_EQ(pod.CgroupValue("cpu", "cpu.shares"), "1024");
    EXPECT_EQ(pod.CgroupValue("cpu", "cpu.cfs_quota_us"), "100000");
  }
  EXPECT_EQ(ShellOutput(app,
                        "cat /proc/sys/kernel/shm_rmid_forced "
                        "/proc/sys/net/ipv4/ip_local_port_range | tr -s '\\t'"),
            "1\n20000\t30000\n");
  EXPECT_NE(ReadHostFile("/proc/sys/net/ipv4/ip_local_port_range"),
            "20000\t30000\n");
  if (MissingCapability(kCapSysResource).empty()) {
    EXPECT_EQ(ShellOutput(app, "cat /proc/1/oom_score_adj"), "-997\n");
  }
  pod.Remove();
}

TEST_F(KubeletSecurityTest, ABurstablePodsOomScore) {
  KubeletPod pod(client(), "probes_and_hooks", Node());
  pod.RunSandbox();
  const std::string app = pod.Start(0);
  EXPECT_EQ(
      ShellOutput(app, "cat /proc/1/oom_score_adj /proc/self/oom_score_adj"),
      "993\n993\n");
  pod.Remove();
}

TEST_F(KubeletSecurityTest, AResizeInPlace) {
  KubeletPod pod(client(), "guaranteed", Node());
  pod.RunSandbox();
  const std::string app = pod.Start(0);
  // Upwards, a kubelet resizes the pod before its containers.
  if (pod.unified()) {
    pod.SetCgroupValue("", "memory.max", "268435456");
  } else {
    pod.SetCgroupValue("memory", "memory.limit_in_bytes", "268435456");
    pod.SetCgroupValue("cpu", "cpu.cfs_quota_us", "200000");
    pod.SetCgroupValue("cpu", "cpu.shares", "2048");
  }
  cri::UpdatePodSandboxResourcesRequest pod_update = pod.requests().pod_update;
  pod_update.set_pod_sandbox_id(pod.sandbox_id());
  EXPECT_TRUE(
      client().Call<cri::UpdatePodSandboxResourcesResponse>(pod_update).ok());
  cri::UpdateContainerResourcesRequest update = pod.requests().update;
  update.set_container_id(app);
  const auto updated =
      client().Call<cri::UpdateContainerResourcesResponse>(update);
  ASSERT_TRUE(updated.ok()) << updated.status();
  const auto shown = StatusOf(app).resources().linux();
  EXPECT_EQ(shown.memory_limit_in_bytes(), 268435456);
  EXPECT_EQ(shown.cpu_quota(), 200000);
  EXPECT_EQ(shown.cpu_shares(), 2048);
  if (pod.unified()) {
    EXPECT_EQ(pod.CgroupValue("", "memory.max", app), "268435456");
    EXPECT_EQ(pod.CgroupValue("", "cpu.max", app), "200000 100000");
  } else {
    EXPECT_EQ(pod.CgroupValue("memory", "memory.limit_in_bytes", app),
              "268435456");
    EXPECT_EQ(pod.CgroupValue("cpu", "cpu.cfs_quota_us", app), "200000");
    EXPECT_EQ(pod.CgroupValue("cpu", "cpu.shares", app), "2048");
  }
  EXPECT_EQ(StatusOf(app).state(), cri::CONTAINER_RUNNING);
  pod.Remove();
}

TEST_F(KubeletSecurityTest, ARestrictedPod) {
  KubeletPod pod(client(), "security_context", Node());
  const std::string data = pod.Volume("empty-dir/data");
  MakeEmptyDir(data, 2000);
  pod.RunSandbox();
  const std::string app = pod.Start(0);
  EXPECT_EQ(ShellOutput(app, "id -u; id -g; id -G"),
            "1000\n3000\n3000 2000 4000\n");
  EXPECT_EQ(ShellOutput(app,
                        "grep -E '^(CapEff|CapBnd|NoNewPrivs)' "
                        "/proc/1/status | tr -s '\\t' ' '"),
            "CapEff: 0000000000000000\nCapBnd: 0000000000000400\n"
            "NoNewPrivs: 1\n");
  EXPECT_NE(ExitCodeOf(app, {"touch", "/tmp/file"}), 0) << "a read-only root";
  ShellOutput(app, "echo 1 >/data/file");
  EXPECT_EQ(ShellOutput(app, "stat -c '%u %g' /data/file"), "1000 2000\n");
  ShellOutput(app, "echo of user 1000 >/dev/termination-log");
  EXPECT_EQ(pod.TerminationMessage(app), "of user 1000\n");
  pod.Remove();
}

TEST_F(KubeletSecurityTest, APrivilegedPodMountsForTheNode) {
  KubeletPod pod(client(), "privileged", Node());
  const std::string pods = pod.Host("/var/lib/kubelet/plugins");
  pod.mounts().Tmpfs(pods, "size=1m", /*shared=*/true);
  pod.RunSandbox();
  const std::string app = pod.Start(0);
  EXPECT_EQ(ShellOutput(app,
                        "test -w /proc/sys/vm/swappiness; "
                        "grep -c ' /proc/kcore ' /proc/mounts || true"),
            "0\n")
      << "nothing is masked";
  ShellOutput(app,
              "mkdir /plugins/disk; mount -t tmpfs disk /plugins/disk; "
              "echo a disk >/plugins/disk/file");
  EXPECT_EQ(ReadHostFile(pods + "/disk/file"), "a disk\n");
  ShellOutput(app, "umount /plugins/disk");
  EXPECT_FALSE(HostFileExists(pods + "/disk/file"));
  pod.Remove();
}

TEST_F(KubeletSecurityTest, ARestrictedPodsProfileIsAFilter) {
  KubeletPod pod(client(), "security_context", Node());
  MakeEmptyDir(pod.Volume("empty-dir/data"), 2000);
  pod.RunSandbox();
  const std::string app = pod.Start(0);
  EXPECT_EQ(
      ShellOutput(app, "grep '^Seccomp:' /proc/1/status | tr -s '\\t' ' '"),
      "Seccomp: 2\n");
  pod.Remove();
}

}  // namespace
}  // namespace warren::test
