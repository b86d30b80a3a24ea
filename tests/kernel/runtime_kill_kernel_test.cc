// REL-11: what is frozen, hangs or lost its shim, and that others do not wait.
#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "runtime/launch/exit_watcher.h"
#include "tests/kernel/runtime_host.h"

namespace warren::runtime {
namespace {

class RuntimeKill : public RuntimeTest {
 protected:
  ContainerSpec Sleeping(const SandboxSpec& pod) {
    const ContainerSpec spec = Shell(pod, "exec sleep 600");
    Create(spec);
    facts_ = Start(spec);
    return spec;
  }
  // A pod whose cgroups are below one of somebody else's.
  SandboxSpec PodBelow(const std::string& parent) {
    SandboxSpec pod = Pod();
    pod.cgroup_parent = parent;
    return pod;
  }
  static void RemoveCgroup(const std::string& path) {
    for (const auto& hierarchy :
         std::filesystem::directory_iterator("/sys/fs/cgroup")) {
      rmdir((hierarchy.path().string() + path).c_str());
    }
  }
  void Freeze(const ContainerSpec& spec, bool frozen) {
    FreezeCgroup(absl::StrCat(CgroupParent(), "/", spec.id), frozen);
  }
  void FreezeCgroup(const std::string& path, bool frozen) {
    const bool v2 = runtime().GetFeatures().cgroup_v2;
    const absl::Status written =
        v2 ? base::WriteControlAt(
                 AT_FDCWD,
                 absl::StrCat("/sys/fs/cgroup", path, "/cgroup.freeze"),
                 frozen ? "1" : "0")
           : base::WriteControlAt(
                 AT_FDCWD,
                 absl::StrCat("/sys/fs/cgroup/freezer", path, "/freezer.state"),
                 frozen ? "FROZEN" : "THAWED");
    ASSERT_TRUE(written.ok()) << written;
  }
  static void Kill(const base::ProcessId& id) {
    auto pidfd = base::OpenProcess(id);
    ASSERT_TRUE(pidfd.ok()) << pidfd.status();
    ASSERT_TRUE(base::SendSignal(pidfd->get(), SIGKILL).ok());
  }

  StartFacts facts_;  // of the last one started
};

TEST_F(RuntimeKill, REL_11_AKilledShimWhoseContainerHangsHoldsUpNoExit) {
  if (runtime().GetFeatures().cgroup_v2) GTEST_SKIP() << "frozen ones die";
  const std::string parent = CgroupParent() + "/frozen";
  const SandboxSpec pod = PodBelow(parent);
  Create(pod);
  std::vector<ContainerSpec> hanging;
  std::vector<base::ProcessId> shims;
  for (int i = 0; i < 2 * ExitWatcher::kThreads; ++i) {
    hanging.push_back(Sleeping(pod));
    shims.push_back(facts_.shim);
  }
  const SandboxSpec other_pod = Pod();
  Create(other_pod);
  const ContainerSpec other = Sleeping(other_pod);
  const base::ProcessId other_shim = facts_.shim;
  FreezeCgroup(parent, true);
  for (const base::ProcessId& shim : shims) Kill(shim);
  for (const ContainerSpec& spec : hanging) {
    const absl::Status refused = runtime().KillContainer(spec.id);
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_THAT(refused.message(), testing::HasSubstr("\"" + parent + "\""));
    EXPECT_TRUE(absl::IsFailedPrecondition(
        runtime().AwaitContainerDeath(spec.id, base::Deadline::Never())));
  }
  Kill(other_shim);
  EXPECT_TRUE(WaitExit(other).lost);
  for (const ContainerSpec& spec : hanging) {
    EXPECT_FALSE(HasExited(spec.id)) << "its first process lives";
  }
  FreezeCgroup(parent, false);
  for (const ContainerSpec& spec : hanging) {
    EXPECT_TRUE(WaitExit(spec).lost);
    EXPECT_TRUE(
        runtime().AwaitContainerDeath(spec.id, base::Deadline::Never()).ok());
    Remove(spec);
  }
  Remove(pod);
  RemoveCgroup(parent);
}

TEST_F(RuntimeKill, REL_11_AFrozenContainerDies) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const ContainerSpec spec = Sleeping(pod);
  Freeze(spec, true);
  ASSERT_TRUE(runtime().KillContainer(spec.id).ok());
  EXPECT_EQ(WaitExit(spec).exit_code, 137);
}

TEST_F(RuntimeKill, REL_11_AnExecIntoAFrozenContainerEndsWithItsTimeOut) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const ContainerSpec spec = Sleeping(pod);
  Freeze(spec, true);
  agent::ExecSyncCommand command;
  command.args = {"/bin/sh", "-c", "true"};
  command.timeout = absl::Seconds(1);
  const absl::Time begin = absl::Now();
  EXPECT_TRUE(absl::IsDeadlineExceeded(ExecSync(spec, command).status()));
  EXPECT_LT(absl::Now() - begin, test::Patience(absl::Seconds(2)));
  Freeze(spec, false);
}

TEST_F(RuntimeKill, TheEndOfAPodInitIsTold) {
  SandboxSpec pod = Pod();
  pod.pid = NamespaceMode::kPod;
  const SandboxFacts facts = Create(pod);
  SandboxSpec kept = Pod();
  kept.pid = NamespaceMode::kPod;
  const SandboxFacts kept_facts = Create(kept);
  SandboxSpec stopped = Pod();
  stopped.pid = NamespaceMode::kPod;
  Create(stopped);
  ASSERT_TRUE(runtime().StopSandbox(stopped, base::Deadline::Never()).ok());
  Kill(facts.pod_init);
  EXPECT_TRUE(test::Eventually([&] { return !PodInitEnds().empty(); }));
  EXPECT_THAT(PodInitEnds(), testing::ElementsAre(pod.id));
  // Also of one that an earlier agent started.
  Restart();
  ASSERT_TRUE(runtime().AdoptSandbox(kept, kept_facts).ok());
  Kill(kept_facts.pod_init);
  EXPECT_TRUE(test::Eventually([&] { return PodInitEnds().size() == 2; }));
  EXPECT_THAT(PodInitEnds(), testing::ElementsAre(pod.id, kept.id));
  Remove(pod);
  Remove(kept);
}

}  // namespace
}  // namespace warren::runtime
