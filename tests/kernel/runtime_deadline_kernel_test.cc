// Calls that are given up: what they leave, and that they can be asked again.
#include <gmock/gmock.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "runtime/base/process.h"
#include "tests/kernel/runtime_host.h"

namespace warren::runtime {
namespace {

class RuntimeDeadline : public RuntimeTest {
 protected:
  static base::Deadline Over() {
    return base::Deadline::After(absl::ZeroDuration());
  }
  ContainerSpec Created(const std::string& script) {
    const SandboxSpec pod = Pod();
    Create(pod);
    const ContainerSpec spec = Shell(pod, script);
    Create(spec);
    return spec;
  }
};

TEST_F(RuntimeDeadline, AStartThatWasGivenUpCanBeAskedAgain) {
  const ContainerSpec spec = Created("exit 5");
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      runtime().StartContainer(spec.id, Over()).status()));
  std::atomic<bool> gone{true};
  const auto cancelled =
      base::Deadline::Never().CancelledBy([&] { return gone.load(); });
  const auto again = runtime().StartContainer(spec.id, cancelled);
  // Whether the shim answers before the cancellation is looked at is open.
  if (!again.ok()) {
    EXPECT_TRUE(absl::IsCancelled(again.status())) << again.status();
    Start(spec);
  }
  EXPECT_EQ(WaitExit(spec).exit_code, 5);
}

TEST_F(RuntimeDeadline, ARemovalThatWasGivenUpCostsNoExitRecord) {
  const ContainerSpec spec = Created("exec sleep 600");
  const StartFacts facts = Start(spec);
  auto shim = base::OpenProcess(facts.shim);
  ASSERT_TRUE(shim.ok()) << shim.status();
  // It cannot drain the output.
  ASSERT_TRUE(base::SendSignal(shim->get(), SIGSTOP).ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(runtime().RemoveContainer(
      spec, base::Deadline::After(absl::Milliseconds(300)))));
  std::atomic<bool> gone{false};
  std::thread caller([&] { gone = true; });
  EXPECT_TRUE(absl::IsCancelled(runtime().RemoveContainer(
      spec, base::Deadline::Never().CancelledBy([&] { return gone.load(); }))));
  caller.join();
  EXPECT_FALSE(HasExited(spec.id));
  ASSERT_TRUE(base::SendSignal(shim->get(), SIGCONT).ok());
  Remove(spec);
  const ExitRecord exit = WaitExit(spec);
  EXPECT_FALSE(exit.lost);
  EXPECT_EQ(exit.exit_code, 137);
}

TEST_F(RuntimeDeadline, ReopenLogWaitsForTheShimNoLongerThanItsCaller) {
  const ContainerSpec spec = Created("exec sleep 600");
  const StartFacts facts = Start(spec);
  auto shim = base::OpenProcess(facts.shim);
  ASSERT_TRUE(shim.ok()) << shim.status();
  ASSERT_TRUE(base::SendSignal(shim->get(), SIGSTOP).ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(runtime().ReopenLog(
      spec.id, base::Deadline::After(absl::Milliseconds(100)))));
  ASSERT_TRUE(base::SendSignal(shim->get(), SIGCONT).ok());
  EXPECT_TRUE(runtime().ReopenLog(spec.id, base::Deadline::Never()).ok());
}

TEST_F(RuntimeDeadline, AKillWhoseTimeIsOverKillsAllTheSame) {
  const ContainerSpec spec = Created("exec sleep 600");
  Start(spec);
  const absl::Status killed = runtime().AwaitContainerDeath(spec.id, Over());
  EXPECT_TRUE(killed.ok() || absl::IsDeadlineExceeded(killed)) << killed;
  EXPECT_EQ(WaitExit(spec).exit_code, 137);
}

TEST_F(RuntimeDeadline, AnUpdateWhoseTimeIsOverWritesNothing) {
  const ContainerSpec spec = Created("exec sleep 600");
  Resources more;
  more.pids_limit = 77;
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      runtime().UpdateResources(spec.id, {}, more, Over())));
  EXPECT_NE(Control(spec, "pids.max"), "77");
}

}  // namespace
}  // namespace warren::runtime
