// SIGKILL of the daemon, fifty times at random moments of a loop of pod
// starts; after a restart and the removal of everything nothing is left.
#include <absl/time/clock.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

constexpr int kKills = 50;
constexpr int kAtOnce = 3;
// The moments of the kills spread over a few lives of pods, and at least so
// far.
constexpr absl::Duration kLeastSpread = absl::Milliseconds(250);

class CrashLoopTest : public CriTest {
 protected:
  // Whole lives of pods until `stop`; errors are expected once the daemon is
  // dead. A retry of the same name must never make a second pod.
  void LivePods(const std::string& who, std::atomic<bool>* stop) {
    CriClient own(daemon().socket());
    for (int serial = 0; !*stop; ++serial) {
      cri::PodSandboxConfig pod = Pod(who + "-" + std::to_string(serial));
      cri::ContainerConfig config = IdleConfig("main");
      for (cri::NamespaceOption* options :
           {NamespaceOptions(&pod), NamespaceOptions(&config)}) {
        if (serial % 2 == 0) options->set_pid(cri::POD);
        if (serial % 3 == 0) UseUserNamespace(options, 65536 * (serial + 1));
      }
      const auto pod_id = own.RunPodSandbox(pod);
      if (!pod_id.ok()) continue;
      const auto id = own.CreateContainer(*pod_id, config, pod);
      if (!id.ok() || !own.StartContainer(*id).ok()) continue;
      ++started_;
      own.ExecSync(*id, {"true"}).status().IgnoreError();
      if (serial % 2 == 0) own.RemovePodSandbox(*pod_id).IgnoreError();
    }
  }
  // What is listed can be looked at and removed, whatever state it is in.
  void CheckAndRemoveAll() {
    const auto pods = client().ListPodSandbox();
    ASSERT_TRUE(pods.ok()) << pods.status();
    for (const cri::PodSandbox& pod : *pods) {
      ++found_;
      EXPECT_TRUE(client().PodSandboxStatus(pod.id()).ok());
    }
    const auto containers = client().ListContainers();
    ASSERT_TRUE(containers.ok()) << containers.status();
    for (const cri::Container& container : *containers) {
      EXPECT_NE(container.state(), cri::CONTAINER_UNKNOWN);
      EXPECT_TRUE(client().ContainerStatus(container.id()).ok());
    }
    RemoveAllPods();
  }

  std::atomic<int> started_ = 0;  // containers, by all clients
  int found_ = 0;                 // pods, after restarts
};

TEST_F(CrashLoopTest, REL_5_FiftyKillsLeaveNothing) {
  const char* given = std::getenv("WARREN_TEST_SEED");
  const unsigned seed =
      given != nullptr ? std::atoi(given) : std::random_device()();
  std::printf("seed %u (WARREN_TEST_SEED)\n", seed);
  std::mt19937 random(seed);
  // How long a life takes here and now; that of one pod beside others as many
  // times as there are.
  const absl::Time born = absl::Now();
  RunAlone(IdleConfig("main"));
  RemoveAllPods();
  const absl::Duration spread =
      std::max(kLeastSpread, kAtOnce * (absl::Now() - born));
  Ledger before = TakeLedger(daemon().Scope());
  before.erase("daemon fd");
  for (int round = 0; round < kKills && !HasFailure(); ++round) {
    std::atomic<bool> stop = false;
    std::vector<std::thread> threads;
    for (int t = 0; t < kAtOnce; ++t) {
      threads.emplace_back([&, t] {
        LivePods(std::to_string(round) + "-" + std::to_string(t), &stop);
      });
    }
    absl::SleepFor(absl::Microseconds(
        random() % static_cast<uint64_t>(absl::ToInt64Microseconds(spread))));
    KillDaemon();
    stop = true;
    for (std::thread& thread : threads) thread.join();
    StartDaemon();
    if (HasFatalFailure()) return;
    CheckAndRemoveAll();
    LedgerScope scope = daemon().Scope();
    scope.descriptors = false;
    EXPECT_EQ(SettledDiff(before, scope, absl::Seconds(20)), "")
        << "after kill " << round << ", seed " << seed;
  }
  std::printf("%d kills, %d containers started, %d pods found after them\n",
              kKills, started_.load(), found_);
  EXPECT_GT(started_, kKills / 2) << "too few to mean anything";
}

}  // namespace
}  // namespace warren::test
