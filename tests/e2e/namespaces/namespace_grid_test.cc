// Every combination of network, ipc, pid and user namespace modes: each is
// refused, or its containers are where they asked to be.
#include <absl/strings/str_cat.h>

#include <map>
#include <string>
#include <vector>

#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

constexpr uint32_t kGridIds = 7 * 65536;

struct Combination {
  cri::NamespaceMode network, ipc, pid;
  bool users;

  std::string Name() const {
    return absl::StrCat("net ", cri::NamespaceMode_Name(network), ", ipc ",
                        cri::NamespaceMode_Name(ipc), ", pid ",
                        cri::NamespaceMode_Name(pid),
                        users ? ", own users" : "");
  }
  void Fill(cri::NamespaceOption* options) const {
    options->set_network(network);
    options->set_ipc(ipc);
    options->set_pid(pid);
    if (users) UseUserNamespace(options, kGridIds);
  }
};

std::vector<Combination> All() {
  std::vector<Combination> all;
  for (const bool users : {false, true}) {
    for (const auto network : {cri::POD, cri::NODE}) {
      for (const auto ipc : {cri::POD, cri::NODE}) {
        for (const auto pid : {cri::POD, cri::CONTAINER, cri::NODE}) {
          all.push_back({network, ipc, pid, users});
        }
      }
    }
  }
  return all;
}

class NamespaceGridTest : public CriTest {
 protected:
  std::map<std::string, uint64_t> NamespacesOf(pid_t pid) {
    std::map<std::string, uint64_t> inodes;
    for (const char* kind :
         {"net", "ipc", "uts", "pid", "user", "mnt", "cgroup", "time"}) {
      inodes[kind] = NamespaceInode(pid, kind);
      EXPECT_NE(inodes[kind], 0u) << kind;
    }
    return inodes;
  }
};

TEST_F(NamespaceGridTest, EachModeIsWhatItSays) {
  const auto node = NamespacesOf(getpid());
  for (const Combination& c : All()) {
    SCOPED_TRACE(c.Name());
    cri::PodSandboxConfig pod = Pod("pod");
    c.Fill(NamespaceOptions(&pod));
    const auto pod_id = client().RunPodSandbox(pod);
    if (c.users && c.pid == cri::NODE) {
      EXPECT_CODE(pod_id.status(), kInvalidArgument);
      RemoveAllPods();
      continue;
    }
    ASSERT_TRUE(pod_id.ok()) << pod_id.status();
    std::vector<std::map<std::string, uint64_t>> seen;
    for (const char* name : {"a", "b"}) {
      cri::ContainerConfig config = IdleConfig(name);
      c.Fill(NamespaceOptions(&config));
      const std::string id = Run(*pod_id, pod, config);
      seen.push_back(NamespacesOf(HostPid(*pod_id, id)));
      // Its own view is the same, and so is that of an exec session.
      EXPECT_EQ(
          ShellOutput(id,
                      "for k in net user pid; do readlink /proc/self/ns/$k; "
                      "done"),
          absl::StrCat("net:[", seen.back()["net"], "]\nuser:[",
                       seen.back()["user"], "]\npid:[", seen.back()["pid"],
                       "]\n"));
    }
    auto& a = seen[0];
    auto& b = seen[1];
    const auto expect = [&](const char* kind, bool nodes, bool shared) {
      EXPECT_EQ(a[kind] == node.at(kind), nodes) << kind;
      EXPECT_EQ(a[kind] == b[kind], shared) << kind;
    };
    expect("net", c.network == cri::NODE, true);
    expect("uts", c.network == cri::NODE, true);
    expect("ipc", c.ipc == cri::NODE, true);
    expect("pid", c.pid == cri::NODE, c.pid != cri::CONTAINER);
    expect("user", !c.users, true);
    expect("mnt", false, false);
    expect("cgroup", false, false);
    RemoveAllPods();
  }
}

TEST_F(NamespaceGridTest, AContainerCannotLeaveItsPodsNamespaces) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const auto code = [&](auto change) {
    cri::ContainerConfig config = IdleConfig("main");
    change(NamespaceOptions(&config));
    return client().CreateContainer(pod_id, config, pod).status();
  };
  using Options = cri::NamespaceOption;
  for (const auto mode : {cri::NODE, cri::CONTAINER, cri::TARGET}) {
    EXPECT_CODE(code([&](Options* o) { o->set_network(mode); }),
                kInvalidArgument);
    EXPECT_CODE(code([&](Options* o) { o->set_ipc(mode); }), kInvalidArgument);
  }
  EXPECT_CODE(code([](Options* o) { o->set_pid(cri::POD); }), kInvalidArgument)
      << "the pod has none";
  EXPECT_CODE(code([](Options* o) { o->set_target_id("0123456789ab"); }),
              kInvalidArgument);
  EXPECT_CODE(code([](Options* o) { UseUserNamespace(o, kGridIds); }),
              kInvalidArgument);
  EXPECT_TRUE(client().ListContainers()->empty());
}

}  // namespace
}  // namespace warren::test
