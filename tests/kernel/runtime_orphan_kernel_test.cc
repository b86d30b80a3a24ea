// What nobody has a record of, or what other options would place elsewhere:
// ended whole, wherever it is.
#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "tests/kernel/runtime_host.h"

namespace warren::runtime {
namespace {

class RuntimeOrphan : public RuntimeTest {
 protected:
  void TearDown() override {
    RuntimeTest::TearDown();
    RemoveForeign();
  }
  // Somebody else's cgroup, as a kubelet's.
  static std::string Foreign() { return CgroupParent() + "-kubepods"; }

  // A pod with a pod init and a container that ignores SIGTERM.
  void MakePodBelow(const std::string& parent) {
    pod_ = Pod();
    pod_.pid = NamespaceMode::kPod;
    pod_.cgroup_parent = parent;
    pod_ = Resolved(pod_);
    pod_facts_ = Create(pod_);
    spec_ = Shell(pod_, "trap '' TERM; echo up; while :; do sleep 0.01; done");
    ASSERT_EQ(runtime().ResolveContainer(&spec_, {}), absl::OkStatus());
    facts_ = Create(spec_);
    facts_.start = Start(spec_);
    WaitLog(spec_, "up");
  }
  static bool Alive(const base::ProcessId& id) {
    auto pidfd = base::OpenProcess(id);
    return pidfd.ok() && !*base::WaitExit(pidfd->get(), absl::ZeroDuration());
  }
  // Directories of that name in any hierarchy.
  static int Leaves(const std::string& id) {
    int found = 0;
    std::error_code error;  // others come and go
    for (const auto& hierarchy :
         std::filesystem::directory_iterator("/sys/fs/cgroup")) {
      for (const std::string& parent :
           {CgroupParent(), CgroupParent() + "-kubepods",
            CgroupParent() + "-other", std::string()}) {
        found += std::filesystem::exists(
            absl::StrCat(hierarchy.path().string(), parent, "/", id), error);
      }
    }
    return found;
  }
  void ExpectGone() {
    EXPECT_FALSE(Alive(facts_.start.process));
    EXPECT_FALSE(Alive(facts_.start.shim));
    EXPECT_FALSE(Alive(pod_facts_.pod_init));
    EXPECT_EQ(Leaves(spec_.id), 0);
    EXPECT_EQ(Leaves(pod_.id), 0);
    EXPECT_THAT(runtime().ListContainerIds(), testing::IsEmpty());
    EXPECT_THAT(runtime().ListSandboxIds(), testing::IsEmpty());
  }
  void RemoveBare() {
    ContainerSpec container;
    container.id = spec_.id;
    absl::Status removed =
        runtime().RemoveContainer(container, base::Deadline::Never());
    EXPECT_TRUE(removed.ok()) << removed;
    SandboxSpec pod;
    pod.id = pod_.id;
    removed = runtime().RemoveSandbox(pod, base::Deadline::Never());
    EXPECT_TRUE(removed.ok()) << removed;
  }
  std::string Identity(const std::string& kind, const std::string& id) const {
    return absl::StrCat(dir(), "/run/", kind, "/", id, "/identity.pb");
  }

  SandboxSpec pod_;
  SandboxFacts pod_facts_;
  ContainerSpec spec_;
  ContainerFacts facts_;

 private:
  static void RemoveForeign() {
    for (const auto& hierarchy :
         std::filesystem::directory_iterator("/sys/fs/cgroup")) {
      rmdir((hierarchy.path().string() + Foreign()).c_str());
    }
    rmdir(absl::StrCat("/sys/fs/cgroup", Foreign()).c_str());
  }
};

TEST_F(RuntimeOrphan, REL_3_EndsWholeBelowAForeignParent) {
  MakePodBelow(Foreign());
  Restart();
  EXPECT_TRUE(Alive(facts_.start.process));
  EXPECT_GT(Leaves(spec_.id), 0);
  RemoveBare();
  ExpectGone();
}

// Its directories have no identity.pb: the program below its shim says where it
// is; a pod init can only be where today's options put it.
TEST_F(RuntimeOrphan, REL_26_OfAnOlderAgentEndsWhole) {
  MakePodBelow(Foreign());
  Restart();
  ASSERT_TRUE(std::filesystem::remove(Identity("containers", spec_.id)));
  ContainerSpec container;
  container.id = spec_.id;
  const absl::Status removed =
      runtime().RemoveContainer(container, base::Deadline::Never());
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_FALSE(Alive(facts_.start.process));
  EXPECT_EQ(Leaves(spec_.id), 0);
  RemoveBare();
  ExpectGone();

  MakePodBelow("");
  Restart();
  ASSERT_TRUE(std::filesystem::remove(Identity("containers", spec_.id)));
  ASSERT_TRUE(std::filesystem::remove(Identity("sandboxes", pod_.id)));
  RemoveBare();
  ExpectGone();
}

TEST_F(RuntimeOrphan, REL_16_ADamagedIdentityTouchesNothing) {
  MakePodBelow(Foreign());
  Restart();
  for (const auto& [kind, id] :
       {std::pair("containers", spec_.id), {"sandboxes", pod_.id}}) {
    std::ofstream(Identity(kind, id), std::ios::trunc) << "\xff";
  }
  ContainerSpec container;
  container.id = spec_.id;
  EXPECT_TRUE(absl::IsDataLoss(
      runtime().RemoveContainer(container, base::Deadline::Never())));
  SandboxSpec pod;
  pod.id = pod_.id;
  EXPECT_TRUE(
      absl::IsDataLoss(runtime().RemoveSandbox(pod, base::Deadline::Never())));
  EXPECT_TRUE(Alive(facts_.start.process));
  EXPECT_TRUE(Alive(facts_.start.shim));
  EXPECT_TRUE(Alive(pod_facts_.pod_init));
  EXPECT_THAT(runtime().ListSandboxIds(), testing::ElementsAre(pod_.id));
  // With a record nothing depends on it.
  Remove(spec_);
  Remove(pod_);
  ExpectGone();
}

TEST_F(RuntimeOrphan, REL_3_OtherOptionsMoveNothingThatExists) {
  MakePodBelow("");
  const std::string before = CgroupParent();
  default_cgroup_parent_ = CgroupParent() + "-other";
  Restart();
  SandboxSpec again = pod_;
  ASSERT_EQ(runtime().ResolveSandbox(&again, {}), absl::OkStatus());
  EXPECT_EQ(again, pod_);
  ASSERT_TRUE(runtime().AdoptSandbox(pod_, pod_facts_).ok());
  const auto adopted =
      runtime().AdoptContainer(spec_, facts_, base::Deadline::Never());
  ASSERT_TRUE(adopted.ok()) << adopted.status();
  EXPECT_EQ(adopted->liveness, ContainerLiveness::kRunning);
  EXPECT_EQ(runtime().InspectContainer(spec_.id)->cgroup_path,
            before + "/" + spec_.id);
  EXPECT_EQ(Exec(spec_, "echo in"), "in\n");
  ASSERT_TRUE(runtime().KillContainer(spec_.id).ok());
  EXPECT_EQ(WaitExit(spec_).exit_code, 137);
  Remove(spec_);
  Remove(pod_);
  ExpectGone();
  EXPECT_EQ(Leaves(before.substr(1)), 0);
  default_cgroup_parent_ = before;
}

// A record of before places were recorded: the running program shows its own.
TEST_F(RuntimeOrphan, REL_26_ARunningProgramShowsItsPlace) {
  MakePodBelow("");
  default_cgroup_parent_ = CgroupParent() + "-other";
  Restart();
  ContainerSpec old = spec_;
  old.cgroup = {};
  old.sandbox.cgroup = {};
  ASSERT_EQ(runtime().ResolveContainer(&old, facts_.start.process),
            absl::OkStatus());
  EXPECT_EQ(old.cgroup.path, spec_.cgroup.path);
  SandboxSpec pod = pod_;
  pod.cgroup = {};
  ASSERT_EQ(runtime().ResolveSandbox(&pod, pod_facts_.pod_init),
            absl::OkStatus());
  EXPECT_EQ(pod.cgroup.path, pod_.cgroup.path);
  // Another program with that number is none.
  pod.cgroup = {};
  base::ProcessId reused = pod_facts_.pod_init;
  ++reused.start_time;
  ASSERT_EQ(runtime().ResolveSandbox(&pod, reused), absl::OkStatus());
  EXPECT_EQ(pod.cgroup.path, default_cgroup_parent_ + "/" + pod_.id);
}

}  // namespace
}  // namespace warren::runtime
