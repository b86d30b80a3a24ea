// NodeService.InspectPodSandbox: what it says is what the kernel says.
#include <map>
#include <set>
#include <string>

#include "tests/support/cri_test.h"
#include "tests/support/ledger_probes.h"

namespace warren::test {
namespace {

const std::set<std::string>& Kinds() {
  static const auto* kinds = new std::set<std::string>{
      "user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"};
  return *kinds;
}

class InspectTest : public CriTest {
 protected:
  node::InspectPodSandboxResponse Inspect(const std::string& id) {
    auto view = client().InspectPodSandbox(id);
    EXPECT_TRUE(view.ok()) << view.status();
    return view.value_or(node::InspectPodSandboxResponse());
  }
  template <typename View>
  static std::map<std::string, node::Namespace> ByKind(const View& view) {
    std::map<std::string, node::Namespace> by_kind;
    for (const node::Namespace& ns : view.namespaces()) {
      by_kind[ns.kind()] = ns;
    }
    return by_kind;
  }
};

TEST_F(InspectTest, AllEightNamespacesOfAContainerAreTheKernels) {
  std::string pod_id;
  const std::string id = RunAlone(IdleConfig("main"), &pod_id);
  const auto view = Inspect(pod_id);
  ASSERT_EQ(view.containers_size(), 1);
  const auto by_kind = ByKind(view.containers(0));
  ASSERT_EQ(by_kind.size(), 8u);
  const pid_t pid = view.containers(0).processes(0).host_pid();
  for (const std::string& kind : Kinds()) {
    const node::Namespace& ns = by_kind.at(kind);
    EXPECT_EQ(ns.inode(), NamespaceInode(pid, kind)) << kind;
    EXPECT_EQ(ns.is_host(), ns.inode() == NamespaceInode(getpid(), kind))
        << kind;
    // Nothing that can be seen owns the node's own user namespace.
    EXPECT_EQ(ns.owner_user_inode() == 0, kind == "user") << kind;
  }
  EXPECT_TRUE(by_kind.at("user").is_host());
  EXPECT_EQ(by_kind.at("user").mode(), "host");
  EXPECT_EQ(by_kind.at("pid").mode(), "container");
  EXPECT_EQ(by_kind.at("mnt").mode(), "container");
  EXPECT_EQ(by_kind.at("net").mode(), "pod");
  EXPECT_EQ(by_kind.at("ipc").mode(), "pod");
  EXPECT_EQ(by_kind.at("uts").mode(), "pod");
  EXPECT_EQ(by_kind.at("time").mode(), "pod");
  std::map<std::string, uint64_t> host;
  for (const auto& ns : view.host_namespaces()) host[ns.kind()] = ns.inode();
  for (const std::string& kind : Kinds()) {
    EXPECT_EQ(host[kind], NamespaceInode(getpid(), kind)) << kind;
  }
}

TEST_F(InspectTest, ThePodHasItsNamesNetworkAndTimings) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const auto view = Inspect(pod_id);
  EXPECT_EQ(view.pod().id(), pod_id);
  EXPECT_EQ(view.pod().name(), "pod");
  EXPECT_EQ(view.pod().namespace_(), "tests");
  EXPECT_EQ(view.pod().uid(), "uid-pod");
  EXPECT_EQ(view.pod().state(), "READY");
  EXPECT_EQ(view.pod().hostname(), "pod");
  const std::string ip =
      client().PodSandboxStatus(pod_id)->status().network().ip();
  std::map<std::string, node::Interface> links;
  for (const auto& link : view.pod().interfaces()) links[link.name()] = link;
  ASSERT_TRUE(links.contains("lo"));
  ASSERT_TRUE(links.contains("eth0"));
  EXPECT_TRUE(links["lo"].up());
  EXPECT_TRUE(links["eth0"].up());
  EXPECT_THAT(links["eth0"].addresses(), testing::Contains(ip + "/16"));
  EXPECT_THAT(links["eth0"].mac(), testing::MatchesRegex("(..:){5}.."));
  bool default_route = false;
  for (const auto& route : view.pod().routes()) {
    default_route |= route.destination() == "default" &&
                     route.device() == "eth0" && !route.gateway().empty();
  }
  EXPECT_TRUE(default_route);
  bool link_is_there = false;
  for (const std::string& link : Links()) {
    link_is_there |= link.rfind(view.pod().host_ifname() + "@", 0) == 0;
  }
  EXPECT_TRUE(link_is_there) << view.pod().host_ifname();
  EXPECT_GT(view.pod().timings_size(), 1);
}

TEST_F(InspectTest, AContainerHasItsMountsProcessesAndCgroup) {
  cri::ContainerConfig config = IdleConfig("main");
  AddMount(&config, daemon().directory(), "/data", true);
  std::string pod_id;
  const std::string id = RunAlone(config, &pod_id);
  const auto view = Inspect(pod_id);
  ASSERT_EQ(view.containers_size(), 1);
  const node::ContainerView& container = view.containers(0);
  EXPECT_EQ(container.id(), id);
  EXPECT_EQ(container.name(), "main");
  EXPECT_THAT(container.state(), testing::EndsWith("RUNNING"));
  EXPECT_EQ(container.hostname(), "pod-main");
  EXPECT_THAT(container.cgroup_path(), testing::HasSubstr(id));
  std::map<std::string, std::string> mounts;
  for (const auto& mount : container.mounts()) {
    mounts[mount.target()] = mount.fs_type();
  }
  EXPECT_EQ(mounts["/"], "overlay");
  EXPECT_EQ(mounts["/proc"], "proc");
  EXPECT_EQ(mounts["/dev/shm"], "tmpfs");
  EXPECT_TRUE(mounts.contains("/data"));
  EXPECT_TRUE(mounts.contains("/etc/resolv.conf"));
  for (const auto& process : container.processes()) {
    EXPECT_EQ(process.host_uid(), 0u);
    EXPECT_FALSE(process.command().empty());
  }
}

TEST_F(InspectTest, ItIsReadFromTheKernelAtCallTime) {
  std::string pod_id;
  const std::string id = RunAlone(IdleConfig("main"), &pod_id);
  ShellOutput(id, "setsid sleep 9191 >/dev/null 2>&1 & true");
  EXPECT_TRUE(Eventually([&] {
    const auto view = Inspect(pod_id);
    for (const auto& process : view.containers(0).processes()) {
      if (process.command().find("sleep") != std::string::npos &&
          ReadHostFile("/proc/" + std::to_string(process.host_pid()) +
                       "/cmdline")
                  .find("9191") != std::string::npos) {
        return true;
      }
    }
    return false;
  }));
}

TEST_F(InspectTest, StoppedPodsAndExitedContainersCanBeLookedAt) {
  std::string pod_id;
  const std::string id = RunAlone(ShellConfig("main", "true"), &pod_id);
  WaitExited(id);
  auto view = Inspect(pod_id);
  ASSERT_EQ(view.containers_size(), 1);
  EXPECT_THAT(view.containers(0).state(), testing::EndsWith("EXITED"));
  EXPECT_EQ(view.containers(0).processes_size(), 0);
  EXPECT_TRUE(client().StopPodSandbox(pod_id).ok());
  view = Inspect(pod_id);
  EXPECT_EQ(view.pod().state(), "NOTREADY");
  EXPECT_EQ(view.pod().interfaces_size(), 0);
}

TEST_F(InspectTest, UnknownPodsAreNotFound) {
  EXPECT_CODE(client().InspectPodSandbox(std::string(64, 'f')).status(),
              kNotFound);
}

}  // namespace
}  // namespace warren::test
