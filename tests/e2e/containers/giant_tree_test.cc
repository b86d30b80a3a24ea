// What a container makes to be hard to remove: directories nested deeper than
// any path is long, names that do not fit into the agent's memory, cgroups.
// tests/suites/giant.sh runs these with sizes that take minutes.
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/support/cri_test.h"
#include "tests/support/ledger_probes.h"
#include "tests/support/node_namespace.h"

namespace warren::test {
namespace {

// That of the environment, or what CI has time for.
std::string SizeOf(const char* variable, const char* usual) {
  const char* wanted = std::getenv(variable);
  return wanted != nullptr ? wanted : usual;
}

class GiantTreeTest : public CriTest {
 protected:
  // More than a slow disk needs for the sizes of the suite.
  static constexpr absl::Duration kMaking = absl::Hours(2);
  // What the agent may need more than before it, whatever the size.
  static constexpr long kGrowthKib = 16 << 10;

  void MakeContainer(bool privileged = false) {
    pod_ = Pod("giant");
    pod_.mutable_linux()->mutable_security_context()->set_privileged(
        privileged);
    pod_id_ = RunPod(pod_);
    cri::ContainerConfig config = IdleConfig("giant");
    config.mutable_linux()->mutable_security_context()->set_privileged(
        privileged);
    AddMount(&config, ProbePath(), "/probe", true);
    id_ = Run(pod_id_, pod_, config);
    ASSERT_NE(id_, "");
  }
  void Make(const char* verb, const std::string& directory,
            const std::string& count) {
    const absl::Time start = absl::Now();
    const auto made =
        client().ExecSync(id_, {"/probe", verb, directory, count}, 0, kMaking);
    ASSERT_TRUE(made.ok()) << made.status();
    ASSERT_EQ(made->exit_code(), 0) << made->stderr();
    std::printf("giant: %s %s in %s: made in %s\n", verb, count.c_str(),
                directory.c_str(),
                absl::FormatDuration(absl::Now() - start).c_str());
  }
  // A kubelet asks again after its time-out.
  template <typename Call>
  void UntilDone(const char* what, const Call& call) {
    const absl::Time start = absl::Now();
    int calls = 0;
    absl::Status done;
    do {
      done = call();
      ++calls;
    } while (absl::IsDeadlineExceeded(done) && absl::Now() < start + kMaking);
    EXPECT_TRUE(done.ok()) << what << ": " << done;
    std::printf("giant: %s: %d calls, %s\n", what, calls,
                absl::FormatDuration(absl::Now() - start).c_str());
  }
  void RemoveIt() {
    const long before = daemon().StatusValue("VmHWM");
    UntilDone("StopContainer", [&] { return client().StopContainer(id_, 0); });
    UntilDone("RemoveContainer", [&] { return client().RemoveContainer(id_); });
    UntilDone("RemovePodSandbox", [&] {
      const absl::Status stopped = client().StopPodSandbox(pod_id_);
      return stopped.ok() ? client().RemovePodSandbox(pod_id_) : stopped;
    });
    const long after = daemon().StatusValue("VmHWM");
    std::printf("giant: peak memory of the agent: %ld KiB before, %ld after\n",
                before, after);
    EXPECT_LT(after - before, kGrowthKib);
  }

  cri::PodSandboxConfig pod_;
  std::string pod_id_;
  std::string id_;
};

TEST_F(GiantTreeTest, REL_6_DirectoriesNestedDeeperThanAnyPathAreRemoved) {
  ASSERT_NO_FATAL_FAILURE(MakeContainer());
  ASSERT_NO_FATAL_FAILURE(
      Make("nest", "/", SizeOf("WARREN_GIANT_LEVELS", "5000")));
  RemoveIt();
}

TEST_F(GiantTreeTest, REL_18_ManyNamesAreRemovedInLittleMemory) {
  ASSERT_NO_FATAL_FAILURE(MakeContainer());
  ASSERT_NO_FATAL_FAILURE(
      Make("names", "/", SizeOf("WARREN_GIANT_NAMES", "20000")));
  RemoveIt();
}

TEST_F(GiantTreeTest, REL_18_C30_NestedAndManyCgroupsAreRemoved) {
  ASSERT_NO_FATAL_FAILURE(MakeContainer(true));
  const std::string count = SizeOf("WARREN_GIANT_CGROUPS", "1000");
  const bool v2 = HostFileExists("/sys/fs/cgroup/cgroup.procs");
  // Its leaf, wherever that is in what a privileged container sees.
  const std::string hierarchy =
      v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/freezer";
  std::string leaf =
      ShellOutput(id_, absl::StrCat("sed -n 's/^[0-9]*:", v2 ? "" : "freezer",
                                    "://p' /proc/1/cgroup | tr -d '\\n'"));
  if (leaf == "/") leaf.clear();
  const std::string top = hierarchy + leaf;
  ASSERT_NO_FATAL_FAILURE(Make("nest", top, count));
  ASSERT_NO_FATAL_FAILURE(Make("wide", top, count));
  EXPECT_TRUE(HostFileExists(
      absl::StrCat(hierarchy, CgroupParent(), "/", id_, "/nested")))
      << "not in the container's leaf";
  RemoveIt();
}

}  // namespace
}  // namespace warren::test
