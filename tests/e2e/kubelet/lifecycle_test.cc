// Pods as a stock kubelet runs them: order, probes, hooks, namespaces.
#include <sys/mount.h>
#include <unistd.h>

#include <string>

#include "tests/e2e/kubelet/pod.h"
#include "tests/support/cri_test.h"
#include "tests/support/http_fetch.h"

namespace warren::test {
namespace {

class KubeletLifecycleTest : public CriTest {
 protected:
  std::string Node() { return daemon().directory() + "/node"; }
};

TEST_F(KubeletLifecycleTest, InitContainersSidecarsAndTheApp) {
  KubeletPod pod(client(), "init_and_sidecar", Node());
  MakeEmptyDir(pod.Volume("empty-dir/work"));
  pod.RunSandbox();
  const std::string setup = pod.Start(0);
  const cri::ContainerStatus done = WaitExited(setup);
  EXPECT_EQ(done.exit_code(), 0);
  EXPECT_EQ(done.reason(), "Completed");
  EXPECT_EQ(pod.Log(setup), "init done\n");

  const std::string proxy = pod.Start(1);
  const std::string app = pod.Start(2);
  const std::string said = "prepared\nhello from cart\n";
  EXPECT_TRUE(Eventually([&] { return pod.Log(app) == said; })) << pod.Log(app);
  EXPECT_EQ(ShellOutput(app,
                        "pwd; echo $KUBERNETES_SERVICE_HOST"
                        ":$KUBERNETES_SERVICE_PORT"),
            "/work\n10.96.0.1:443\n");
  EXPECT_EQ(ShellOutput(app,
                        "hostname; env | sed -n 's/^HOSTNAME=//p'; "
                        "cat /etc/hostname"),
            "cart\ncart\ncart\n");
  EXPECT_EQ(ShellOutput(app, "cat /etc/resolv.conf"),
            "search shop.svc.cluster.local svc.cluster.local cluster.local\n"
            "nameserver 10.96.0.10\noptions ndots:5\n");
  EXPECT_EQ(ShellOutput(app, "cat /etc/hosts"),
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n" +
                pod.ip() + "\tcart\n");
  EXPECT_EQ(ShellOutput(app,
                        "cat /var/run/secrets/kubernetes.io/serviceaccount/"
                        "token"),
            "a token");
  EXPECT_NE(ExitCodeOf(app, {"touch",
                             "/var/run/secrets/kubernetes.io/"
                             "serviceaccount/new"}),
            0);
  EXPECT_EQ(ShellOutput(app, "head -c 1 /proc/kcore; ls /sys/firmware"), "");
  EXPECT_NE(ExitCodeOf(app, {"sh", "-c", "echo 1 >/proc/sys/vm/swappiness"}),
            0);
  // The app first, sidecars after it.
  pod.Stop(app);
  EXPECT_EQ(StatusOf(app).exit_code(), 0);
  EXPECT_EQ(StatusOf(proxy).state(), cri::CONTAINER_RUNNING);
  pod.Stop(proxy);
  EXPECT_EQ(pod.Log(proxy), "proxy up\nproxy ends\n");
  pod.Remove();
}

TEST_F(KubeletLifecycleTest, ProbesHooksTheLastMessageAndASecondAttempt) {
  KubeletPod pod(client(), "probes_and_hooks", Node());
  pod.RunSandbox();
  const std::string app = pod.Start(0);
  const auto post_start = pod.Exec(app, 0);
  ASSERT_TRUE(post_start.ok()) << post_start.status();
  EXPECT_EQ(post_start->exit_code(), 0);
  const auto startup = pod.Exec(app, 1);
  ASSERT_TRUE(startup.ok()) << startup.status();
  EXPECT_EQ(startup->stdout(), "warm\n");
  const auto readiness = pod.Exec(app, 2);
  ASSERT_TRUE(readiness.ok()) << readiness.status();
  EXPECT_EQ(readiness->exit_code(), 1);
  EXPECT_EQ(readiness->stderr(), "not yet\n");
  EXPECT_CODE(pod.Exec(app, 3).status(), kDeadlineExceeded);
  EXPECT_EQ(ShellOutput(app, "ps | grep -c '[s]leep 61' || true"), "0\n");

  const auto pre_stop = pod.Exec(app, 4);
  ASSERT_TRUE(pre_stop.ok()) << pre_stop.status();
  pod.Stop(app, 28);
  EXPECT_EQ(StatusOf(app).exit_code(), 0);
  EXPECT_EQ(pod.TerminationMessage(app), "said goodbye\n");
  EXPECT_EQ(pod.Log(app), "attempt\n") << "a hook's output is not in the log";

  const std::string again = pod.Start(1);
  const cri::ContainerStatus ended = WaitExited(again);
  EXPECT_EQ(ended.exit_code(), 4);
  EXPECT_EQ(ended.reason(), "Error");
  EXPECT_EQ(ended.metadata().attempt(), 1u);
  EXPECT_EQ(pod.TerminationMessage(again), "");
  pod.Remove();
}

TEST_F(KubeletLifecycleTest, HostNetwork) {
  KubeletPod pod(client(), "host_network", Node());
  pod.RunSandbox();
  const std::string app = pod.Start(0);
  EXPECT_EQ(
      HttpGet("127.0.0.1", 18080, "/", absl::Seconds(20)).value_or("none"),
      "from the node\n");
  EXPECT_EQ(NamespaceInode(HostPid(pod.sandbox_id(), app), "net"),
            NamespaceInode(getpid(), "net"));
  char name[256] = "";
  ASSERT_EQ(gethostname(name, sizeof(name)), 0);
  const std::string here = std::string(name) + "\n";
  EXPECT_EQ(ShellOutput(app,
                        "hostname; env | sed -n 's/^HOSTNAME=//p'; "
                        "cat /etc/hostname"),
            here + here + here);
  EXPECT_THAT(ShellOutput(app, "cat /etc/hosts"),
              testing::HasSubstr("(host network)"));
  EXPECT_EQ(ShellOutput(app, "cat /etc/resolv.conf"),
            "nameserver 192.0.2.53\n");
  pod.Stop(app);
  EXPECT_EQ(StatusOf(app).exit_code(), 0);
  pod.Remove();
}

TEST_F(KubeletLifecycleTest, ShareProcessNamespace) {
  KubeletPod pod(client(), "shared_pid", Node());
  pod.RunSandbox();
  const std::string app = pod.Start(0);
  const std::string debugger = pod.Start(1);
  const std::string find =
      "for p in /proc/[0-9]*; do "
      "grep -q '^sleep.4711' $p/cmdline && echo ${p#/proc/}; done; true";
  const std::string pid = ShellOutput(debugger, find);
  EXPECT_THAT(pid, testing::MatchesRegex("[0-9]+\n"));
  EXPECT_NE(pid, "1\n") << "the first process is the pod's, and reaps";
  const std::string number = pid.substr(0, pid.find('\n'));
  EXPECT_EQ(ShellOutput(debugger, "cat /proc/" + number + "/root/etc/hostname"),
            "shared\n")
      << "with SYS_PTRACE one container sees the other's files";
  ShellOutput(debugger, "kill " + number);
  EXPECT_EQ(WaitExited(app).exit_code(), 143);
  EXPECT_EQ(StatusOf(debugger).state(), cri::CONTAINER_RUNNING);
  pod.Remove();
}

TEST_F(KubeletLifecycleTest, HostPidHostIpcAndLaterMountsOfTheNode) {
  KubeletPod pod(client(), "host_pid_ipc", Node());
  const std::string shared = pod.Host("/mnt/shared");
  pod.mounts().Tmpfs(shared, "size=1m", /*shared=*/true);
  pod.RunSandbox();
  const std::string app = pod.Start(0);
  const std::string self = "/proc/" + std::to_string(getpid()) + "/comm";
  EXPECT_EQ(ShellOutput(app, "cat " + self), ReadHostFile(self));
  const pid_t pid = HostPid(pod.sandbox_id(), app);
  for (const char* kind : {"pid", "ipc"}) {
    EXPECT_EQ(NamespaceInode(pid, kind), NamespaceInode(getpid(), kind));
  }
  pod.mounts().Tmpfs(shared + "/late", "size=1m");
  ASSERT_TRUE(WriteHostFile(shared + "/late/file", "seen"));
  EXPECT_EQ(ShellOutput(app, "cat /host/mnt/late/file"), "seen");
  pod.Remove();
}

}  // namespace
}  // namespace warren::test
