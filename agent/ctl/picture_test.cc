#include "agent/ctl/picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace warren::agent::ctl {
namespace {

namespace node = ::warren::node::v1;
using ::testing::HasSubstr;
using ::testing::Not;

void AddNamespace(google::protobuf::RepeatedPtrField<node::Namespace>* list,
                  const std::string& kind, uint64_t inode,
                  const std::string& mode, uint64_t owner) {
  node::Namespace* ns = list->Add();
  ns->set_kind(kind);
  ns->set_inode(inode);
  ns->set_mode(mode);
  ns->set_is_host(mode == "host");
  ns->set_owner_user_inode(owner);
}

void AddHostNamespaces(node::InspectPodSandboxResponse* view) {
  uint64_t inode = 4026531834;
  for (const char* kind :
       {"time", "cgroup", "pid", "user", "uts", "ipc", "mnt", "net"}) {
    node::HostNamespace* ns = view->add_host_namespaces();
    ns->set_kind(kind);
    ns->set_inode(inode++);
  }
}

node::InspectPodSandboxResponse WebPod() {
  node::InspectPodSandboxResponse view;
  AddHostNamespaces(&view);
  node::PodSandboxView* pod = view.mutable_pod();
  pod->set_id("6f0c2d9a41be77777777");
  pod->set_name("web");
  pod->set_namespace_("default");
  pod->set_state("READY");
  AddNamespace(pod->mutable_namespaces(), "user", 4026532301, "pod", 0);
  AddNamespace(pod->mutable_namespaces(), "net", 4026532302, "pod", 4026532301);
  AddNamespace(pod->mutable_namespaces(), "ipc", 4026531839, "host",
               4026531837);
  AddNamespace(pod->mutable_namespaces(), "uts", 4026532304, "pod", 4026531837);
  AddNamespace(pod->mutable_namespaces(), "time", 4026532305, "pod",
               4026532301);
  for (auto* map : {pod->add_uid_mappings(), pod->add_gid_mappings()}) {
    map->set_host_id(65536);
    map->set_length(65536);
  }
  pod->set_hostname("web-a");
  pod->set_boottime_offset_ns(int64_t{90061} * 1000000000);
  pod->set_monotonic_offset_ns(-1500000000);
  pod->set_cgroup_parent("/warren");
  pod->set_host_ifname("wr6f0c2d9a");
  node::Interface* lo = pod->add_interfaces();
  lo->set_name("lo");
  lo->set_mtu(65536);
  lo->set_up(true);
  lo->add_addresses("127.0.0.1/8");
  node::Interface* eth0 = pod->add_interfaces();
  eth0->set_name("eth0");
  eth0->set_mtu(1500);
  eth0->set_up(true);
  eth0->add_addresses("10.88.0.2/16");
  node::Route* route = pod->add_routes();
  route->set_destination("default");
  route->set_gateway("10.88.0.1");
  route->set_device("eth0");

  node::ContainerView* container = view.add_containers();
  container->set_id("9b1c000000001111");
  container->set_name("server");
  container->set_state("CONTAINER_RUNNING");
  container->set_cgroup_path("/warren/9b1c");
  auto* list = container->mutable_namespaces();
  AddNamespace(list, "user", 4026532301, "pod", 0);
  AddNamespace(list, "mnt", 4026532306, "container", 4026532301);
  AddNamespace(list, "pid", 4026532307, "container", 4026532301);
  AddNamespace(list, "net", 4026532302, "pod", 4026532301);
  AddNamespace(list, "cgroup", 4026532308, "container", 4026532301);
  node::MountPoint* root = container->add_mounts();
  root->set_target("/");
  root->set_fs_type("overlay");
  node::Process* process = container->add_processes();
  process->set_host_pid(20431);
  process->set_inner_pid(1);
  process->set_host_uid(65536);
  process->set_host_gid(65536);
  process->set_command("httpd -f -p 80");
  return view;
}

TEST(Picture, GoldenPlainText) {
  EXPECT_EQ("\n" + DrawPod(WebPod(), PictureStyle{}), R"(
+- node ------------------------------+         +- pod default/web  READY  6f0c2d9a41be -------------------+
| user   4026531837                   |         | user   4026532301                                        |
|                                     |         |        uid 0..65535 inside = 65536..131071 on the node   |
|                                     |         |        gid 0..65535 inside = 65536..131071 on the node   |
| net    4026531841                   |         | net    4026532302, owned by the pod's user namespace     |
|                                     |         |        lo  127.0.0.1/8  mtu 65536  up                    |
|        wr6f0c2d9a                   +---------+        eth0  10.88.0.2/16  mtu 1500  up                  |
|                                     |         |        route default via 10.88.0.1 dev eth0              |
| ipc    4026531839                   +=========+ ipc    the node's own                                    |
| uts    4026531838                   |         | uts    4026532304, owned by the node's user namespace    |
|                                     |         |        hostname web-a                                    |
| time   4026531834                   |         | time   4026532305, owned by the pod's user namespace     |
|                                     |         |        boot time +1d 1h 1m 1s, monotonic -1.5s           |
|                                     |         | cgroup below /warren                                     |
|                                     |         | +- container server  RUNNING  9b1c00000000 ------------+ |
| mnt    4026531840                   |         | | mnt    4026532306, owned by the pod's user namespace | |
| pid    4026531836                   |         | | pid    4026532307, owned by the pod's user namespace | |
| cgroup 4026531835                   |         | | cgroup 4026532308, owned by the pod's user namespace | |
|                                     |         | |        /warren/9b1c                                  | |
|                                     |         | | shared with the pod: user net                        | |
|                                     |         | | mounts 1, root on overlay                            | |
| pid    20431   uid 65536  gid 65536 +---------+-+ pid    1     uid 0    httpd -f -p 80                 | |
|                                     |         | +------------------------------------------------------+ |
+-------------------------------------+         +----------------------------------------------------------+
)");
}

TEST(Picture, LinesAndColourKeepTheShape) {
  PictureStyle lines;
  lines.lines = true;
  const std::string drawn = DrawPod(WebPod(), lines);
  EXPECT_THAT(drawn, HasSubstr("├─────────┼─┤ pid    1     uid 0    httpd"));
  EXPECT_THAT(drawn, HasSubstr("╞═════════╡ ipc    the node's own"));
  lines.colour = true;
  EXPECT_THAT(DrawPod(WebPod(), lines), HasSubstr("\x1b[36mtime\x1b[0m"));
}

TEST(Picture, EveryRowHasTheSameWidth) {
  const std::string drawn = DrawPod(WebPod(), PictureStyle{});
  size_t width = 0;
  size_t start = 0;
  for (size_t end = drawn.find('\n'); end != std::string::npos;
       start = end + 1, end = drawn.find('\n', start)) {
    if (width == 0) width = end - start;
    EXPECT_EQ(end - start, width) << drawn.substr(start, end - start);
  }
}

TEST(Picture, HolderStandsInThePodsPidNamespace) {
  node::InspectPodSandboxResponse view = WebPod();
  AddNamespace(view.mutable_pod()->mutable_namespaces(), "pid", 4026532400,
               "pod", 4026532301);
  node::Process* pod_init = view.mutable_pod()->mutable_pod_init();
  pod_init->set_host_pid(77);
  pod_init->set_inner_pid(1);
  pod_init->set_host_uid(65536);
  pod_init->set_command("pod-init");
  EXPECT_THAT(DrawPod(view, PictureStyle{}),
              HasSubstr("+---------+ pid    1     uid 0    pod-init"));
}

TEST(Picture, CommandLinesCannotDriveTheTerminal) {
  node::InspectPodSandboxResponse view = WebPod();
  view.mutable_containers(0)->mutable_processes(0)->set_command(
      std::string("\x1b]0;gotcha\x07") + std::string(500, 'x'));
  const std::string drawn = DrawPod(view, PictureStyle{});
  EXPECT_THAT(drawn, Not(HasSubstr("\x1b")));
  EXPECT_THAT(drawn, HasSubstr("?]0;gotcha?"));
  EXPECT_THAT(drawn, Not(HasSubstr(std::string(200, 'x'))));
}

TEST(Picture, IdsInPathsAreCut) {
  node::InspectPodSandboxResponse view = WebPod();
  view.mutable_containers(0)->set_cgroup_path("/warren/" +
                                              std::string(64, 'a'));
  EXPECT_THAT(DrawPod(view, PictureStyle{}),
              HasSubstr("/warren/aaaaaaaaaaaa... "));
}

TEST(Picture, EmptyAnswerIsStillABox) {
  EXPECT_THAT(DrawPod({}, PictureStyle{}), HasSubstr("node"));
}

TEST(Picture, TimingsStandBelow) {
  node::InspectPodSandboxResponse view = WebPod();
  node::PhaseTiming* timing = view.mutable_pod()->add_timings();
  timing->set_phase("namespaces");
  timing->set_microseconds(900);
  timing = view.mutable_pod()->add_timings();
  timing->set_phase("network");
  timing->set_microseconds(1200);
  EXPECT_THAT(DrawPod(view, PictureStyle{}),
              HasSubstr("RunPodSandbox took 2.10 ms: "
                        "namespaces 0.90, network 1.20\n"));
}

}  // namespace
}  // namespace warren::agent::ctl
