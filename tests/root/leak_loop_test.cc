// Two hundred pods started and removed leave nothing: no network namespace,
// link, address, lease, mount, cgroup, process, descriptor or rule.
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

constexpr int kPods = 200;
constexpr int kAtOnce = 4;

class LeakLoopTest : public CriTest {
 protected:
  // One whole life; every fourth pod has a shared pid namespace, every fifth
  // a user namespace.
  void OnePod(CriClient* own, int serial) {
    cri::PodSandboxConfig pod = Pod("p" + std::to_string(serial));
    cri::ContainerConfig config =
        ShellConfig("main", "echo x; exec sleep 1000");
    for (cri::NamespaceOption* options :
         {NamespaceOptions(&pod), NamespaceOptions(&config)}) {
      if (serial % 4 == 0) options->set_pid(cri::POD);
      if (serial % 5 == 0) UseUserNamespace(options, 65536 * (serial + 1));
    }
    const auto pod_id = own->RunPodSandbox(pod);
    ASSERT_TRUE(pod_id.ok()) << pod_id.status();
    const auto id = own->CreateContainer(*pod_id, config, pod);
    ASSERT_TRUE(id.ok()) << id.status();
    const absl::Status started = own->StartContainer(*id);
    ASSERT_TRUE(started.ok()) << started;
    const auto output = own->ExecSync(*id, {"echo", "y"});
    EXPECT_TRUE(output.ok()) << output.status();
    if (serial % 3 == 0) {
      EXPECT_TRUE(own->StopContainer(*id, 0).ok());
      EXPECT_TRUE(own->RemoveContainer(*id).ok());
      EXPECT_TRUE(own->StopPodSandbox(*pod_id).ok());
    }
    const absl::Status removed = own->RemovePodSandbox(*pod_id);
    EXPECT_TRUE(removed.ok()) << removed;
  }
};

TEST_F(LeakLoopTest, REL_20_TwoHundredPodsLeaveNothing) {
  const Ledger before = TakeLedger(daemon().Scope());
  const long memory_before = daemon().StatusValue("VmRSS");
  std::vector<std::thread> threads;
  for (int t = 0; t < kAtOnce; ++t) {
    threads.emplace_back([this, t] {
      CriClient own(daemon().socket());
      for (int i = t; i < kPods && !HasFailure(); i += kAtOnce) {
        OnePod(&own, i);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(SettledDiff(before, daemon().Scope(), absl::Seconds(30)), "");
  std::printf("VmRSS of the daemon: %ld KiB before, %ld KiB after\n",
              memory_before, daemon().StatusValue("VmRSS"));
  std::printf("Threads: %ld\n", daemon().StatusValue("Threads"));
}

}  // namespace
}  // namespace warren::test
