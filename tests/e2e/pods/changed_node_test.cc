// The daemon comes back to a node that is not as it left it: another
// configuration, lost records, no space, no descriptors. What runs, runs on,
// and what goes, goes whole.
#include <absl/strings/str_cat.h>
#include <signal.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/node_namespace.h"

namespace warren::test {
namespace {

using ::testing::HasSubstr;

constexpr char kStubborn[] = "trap '' TERM; while :; do sleep 0.1; done";

class ChangedNodeTest : public CriTest {
 protected:
  void TearDown() override {
    WarrendProcess& warrend = daemon();
    const bool changed =
        !warrend.extra_top.empty() || !warrend.extra_network.empty() ||
        !warrend.cgroup_parent.empty() || !warrend.wrapper.empty();
    if (changed) {
      Configure();
      KillDaemon();
      StartDaemon();
    }
    CriTest::TearDown();
  }
  // Back to what every test starts with.
  void Configure() {
    daemon().extra_top.clear();
    daemon().extra_network.clear();
    daemon().cgroup_parent.clear();
    daemon().wrapper.clear();
  }
  void Restart() {
    KillDaemon();
    StartDaemon();
  }
  // A pod with a pod init and a container that only SIGKILL ends.
  void RunStubborn(const std::string& cgroup_parent) {
    pod_ = Pod("stubborn");
    NamespaceOptions(&pod_)->set_pid(cri::POD);
    pod_.mutable_linux()->set_cgroup_parent(cgroup_parent);
    pod_id_ = RunPod(pod_);
    cri::ContainerConfig config = ShellConfig("main", kStubborn);
    NamespaceOptions(&config)->set_pid(cri::POD);
    id_ = Run(pod_id_, pod_, config);
    pid_ = HostPid(pod_id_, id_);
  }
  void ExpectAlive(const std::string& why) {
    EXPECT_EQ(kill(pid_, 0), 0) << why;
    EXPECT_EQ(StatusOf(id_).state(), cri::CONTAINER_RUNNING) << why;
    EXPECT_EQ(client().PodSandboxStatus(pod_id_)->status().state(),
              cri::SANDBOX_READY)
        << why;
    EXPECT_EQ(HostPid(pod_id_, id_), pid_) << why;
    EXPECT_EQ(ShellOutput(id_, "echo alive"), "alive\n") << why;
  }
  void ExpectStopsAndGoes() {
    EXPECT_TRUE(client().StopContainer(id_, 0).ok());
    EXPECT_EQ(StatusOf(id_).exit_code(), 137);
    EXPECT_TRUE(client().RemovePodSandbox(pod_id_).ok());
    EXPECT_NE(kill(pid_, 0), 0);
  }
  static bool AnyLeaf(const std::string& id) {
    return !RunCommand({"find", "/sys/fs/cgroup", "-name", id, "-type", "d"})
                .out.empty();
  }

  cri::PodSandboxConfig pod_;
  std::string pod_id_, id_;
  pid_t pid_ = 0;
};

// What could neither be stopped nor removed, because its cgroup was looked for
// where the new configuration would put it.
TEST_F(ChangedNodeTest, REL_3_AnotherCgroupParentTakesNothingAway) {
  RunStubborn("");
  daemon().cgroup_parent = CgroupParent() + "/other";
  Restart();
  ExpectAlive("cgroup_parent");
  ExpectStopsAndGoes();
  EXPECT_FALSE(AnyLeaf(id_));
  EXPECT_FALSE(AnyLeaf(pod_id_));
}

// Nobody knows of them any more; below a parent that only the request named.
TEST_F(ChangedNodeTest, REL_5_WhatHasLostItsRecordsEndsWhole) {
  for (const std::string& parent :
       {std::string(), CgroupParent() + "/kubepods"}) {
    RunStubborn(parent);
    ASSERT_TRUE(AnyLeaf(id_) && AnyLeaf(pod_id_));
    KillDaemon();
    std::filesystem::remove_all(daemon().state_dir() + "/sandboxes/" + pod_id_);
    std::filesystem::remove(daemon().state_dir() + "/containers/" + id_ +
                            "/record.pb");
    StartDaemon();
    EXPECT_TRUE(Eventually([&] {
      return kill(pid_, 0) != 0 && !AnyLeaf(id_) && !AnyLeaf(pod_id_);
    })) << parent;
    EXPECT_TRUE(client().ListPodSandbox()->empty());
  }
  RunCommand({"sh", "-c",
              absl::StrCat("rmdir /sys/fs/cgroup", CgroupParent(),
                           "/kubepods /sys/fs/cgroup/*", CgroupParent(),
                           "/kubepods 2>/dev/null || :")});
}

struct Change {
  const char* key;
  const char* top;
  const char* network;
  const char* refused = nullptr;  // with a word on what is in the way
};

// Every key but those that name another node (state_dir, run_dir) or another
// door (socket, socket_group). Each is changed under a running pod and back.
constexpr Change kChanges[] = {
    {"log_level", "log_level = \"debug\"", ""},
    {"max_connections", "max_connections = 20", ""},
    {"pids_limit", "pids_limit = 77", ""},
    {"log_cpu_percent", "log_cpu_percent = 20", ""},
    {"userns", "userns = \"auto\"", ""},
    {"userns_pool", "userns_pool = \"1048576:655360\"", ""},
    {"security.ambient_capabilities", "[security]\nambient_capabilities = true",
     ""},
    {"devices.cdi_spec_dirs", "[devices]\ncdi_spec_dirs = [\"/etc/none\"]", ""},
    {"devices.owner", "[devices]\nowner = \"user\"", ""},
    {"network.mtu", "", "mtu = 1400"},
    {"network.bridge", "", "bridge = \"wother0\"", "overlaps"},
    {"network.table", "", "table = \"wother\"", "nft delete table inet"},
};

TEST_F(ChangedNodeTest, REL_1_EachKeyMayChangeUnderAPod) {
  RunStubborn("");
  for (const Change& change : kChanges) {
    Configure();
    daemon().extra_top = change.top;
    daemon().extra_network = change.network;
    if (change.refused != nullptr) {
      KillDaemon();
      const absl::Status refused = daemon().Start();
      EXPECT_THAT(std::string(refused.message()), HasSubstr(change.refused));
      EXPECT_EQ(kill(pid_, 0), 0) << change.key;
      continue;
    }
    Restart();
    ExpectAlive(change.key);
    // New ones follow the new configuration, beside the old.
    const std::string pod_id = RunPod(Pod("new"));
    EXPECT_TRUE(client().RemovePodSandbox(pod_id).ok()) << change.key;
    if (HasFailure()) return;
  }
  Configure();
  Restart();
  ExpectAlive("as before");
  ExpectStopsAndGoes();
}

TEST_F(ChangedNodeTest, REL_15_AFullRunDirectoryLosesNothing) {
  // Small, so that it can be filled; the daemon has no pods yet.
  KillDaemon();
  RunCommand({"umount", "-l", daemon().run_dir() + "/pins.mnt"});
  RunCommand({"umount", "-l", daemon().run_dir()});
  ASSERT_EQ(RunCommand({"mount", "-t", "tmpfs", "-o", "size=2m,mode=0700",
                        "tmpfs", daemon().run_dir()})
                .exit_code,
            0);
  StartDaemon();
  RunStubborn("");
  std::string pod_id;
  const std::string ends = RunAlone(
      ShellConfig("ends", "while ! test -e /go; do usleep 5000; done; exit 42"),
      &pod_id);
  const pid_t told = HostPid(pod_id, ends);
  KillDaemon();
  const std::string filler = daemon().run_dir() + "/filler";
  RunCommand({"sh", "-c", "cat /dev/zero >" + filler + " 2>/dev/null || :"});
  ASSERT_FALSE(WriteHostFile(daemon().run_dir() + "/one-more",
                             std::string(1 << 16, 'x')));
  ASSERT_TRUE(WriteHostFile(absl::StrCat("/proc/", told, "/root/go"), ""));
  EXPECT_TRUE(Eventually([&] { return kill(told, 0) != 0; }));
  StartDaemon();
  ExpectAlive("/run is full");
  EXPECT_EQ(WaitExited(ends).exit_code(), 42);
  // A new pod needs space: refused whole.
  const auto refused = client().RunPodSandbox(Pod("late"));
  if (!refused.ok()) {
    EXPECT_EQ(client().ListPodSandbox()->size(), 2u) << refused.status();
  }
  std::filesystem::remove(filler);
  std::filesystem::remove(daemon().run_dir() + "/one-more");
  EXPECT_FALSE(RunPod(Pod("late")).empty());
  ExpectStopsAndGoes();
  RemoveAllPods();
  KillDaemon();
  RunCommand({"umount", "-l", daemon().run_dir() + "/pins.mnt"});
  RunCommand({"umount", "-l", daemon().run_dir()});
  RunCommand({"umount", "-l", daemon().run_dir()});
  StartDaemon();
}

// From too few to start at all, to enough: none of them costs a container its
// life.
TEST_F(ChangedNodeTest, REL_18_FewDescriptorsDestroyNothing) {
  RunStubborn("");
  KillDaemon();
  int started = 0;
  for (int limit = 8; limit <= 80; limit += 4) {
    daemon().wrapper = {"/usr/bin/prlimit", absl::StrCat("--nofile=", limit)};
    if (daemon().Start().ok()) {
      ++started;
      daemon().Kill();
    }
    ASSERT_EQ(kill(pid_, 0), 0) << "killed with " << limit << " descriptors";
  }
  EXPECT_GT(started, 0) << "the sweep never came to a daemon that starts";
  Configure();
  StartDaemon();
  ExpectAlive("after the sweep");
  ExpectStopsAndGoes();
}

}  // namespace
}  // namespace warren::test
