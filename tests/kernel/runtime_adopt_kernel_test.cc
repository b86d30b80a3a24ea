#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>

#include "runtime/base/message_socket.h"
#include "runtime/base/process.h"
#include "tests/kernel/runtime_host.h"

namespace warren::runtime {
namespace {

// The agent dies, a new one takes over: the Runtime object is dropped and made
// anew on the same directories.
class RuntimeAdopt : public RuntimeTest {};

TEST_F(RuntimeAdopt, REL_1_RunningGoesOn) {
  const SandboxSpec pod = Pod();
  const SandboxFacts pod_facts = Create(pod);
  const ContainerSpec spec =
      Shell(pod, "trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done");
  const ContainerFacts facts = Create(spec);
  const StartFacts started = Start(spec);
  WaitLog(spec, "up");
  Restart();
  ASSERT_TRUE(runtime().AdoptSandbox(pod, pod_facts).ok());
  auto adopted = runtime().AdoptContainer(spec, facts, base::Deadline::Never());
  ASSERT_TRUE(adopted.ok()) << adopted.status();
  EXPECT_EQ(adopted->liveness, ContainerLiveness::kRunning);
  EXPECT_EQ(adopted->start.process, started.process);
  EXPECT_EQ(adopted->start.shim, started.shim);
  EXPECT_EQ(adopted->start.started_at_ns, started.started_at_ns);
  EXPECT_FALSE(HasExited(spec.id));
  EXPECT_EQ(Exec(spec, "echo from inside"), "from inside\n");
  // A new container joins the same pod.
  EXPECT_EQ(Run(Shell(pod, "hostname")), pod.hostname + "\n");
  ASSERT_TRUE(runtime().SignalContainer(spec.id, SIGTERM).ok());
  EXPECT_EQ(WaitExit(spec).exit_code, 9);
}

// It hangs in a write to the disk of its log, or gets no processor.
TEST_F(RuntimeAdopt, REL_1_AShimThatHangsIsNotADeadOne) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const ContainerSpec spec =
      Shell(pod, "trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done");
  ContainerFacts facts = Create(spec);
  const StartFacts started = Start(spec);
  WaitLog(spec, "up");
  auto shim = base::OpenProcess(started.shim);
  auto process = base::OpenProcess(started.process);
  ASSERT_TRUE(shim.ok() && process.ok());
  Restart();
  ASSERT_TRUE(base::SendSignal(shim->get(), SIGSTOP).ok());
  // The start is not on record: only the shim could tell, and it does not.
  auto adopted = runtime().AdoptContainer(
      spec, facts, base::Deadline::After(absl::Milliseconds(50)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(adopted.status())) << adopted.status();
  EXPECT_FALSE(*base::WaitExit(process->get(), absl::ZeroDuration()));
  EXPECT_FALSE(*base::WaitExit(shim->get(), absl::ZeroDuration()));
  // The start is on record: the shim need not be asked.
  facts.start = started;
  adopted = runtime().AdoptContainer(spec, facts, base::Deadline::Never());
  ASSERT_TRUE(adopted.ok()) << adopted.status();
  EXPECT_EQ(adopted->liveness, ContainerLiveness::kRunning);
  EXPECT_EQ(adopted->start.process, started.process);
  EXPECT_EQ(Exec(spec, "echo from inside"), "from inside\n");
  ASSERT_TRUE(runtime().SignalContainer(spec.id, SIGTERM).ok());
  ASSERT_TRUE(base::SendSignal(shim->get(), SIGCONT).ok());
  EXPECT_EQ(WaitExit(spec).exit_code, 9);
}

TEST_F(RuntimeAdopt, REL_1_AHungShimThatAnswersAgainIsAdopted) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const ContainerSpec spec =
      Shell(pod, "trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done");
  const ContainerFacts facts = Create(spec);
  const StartFacts started = Start(spec);
  WaitLog(spec, "up");
  auto shim = base::OpenProcess(started.shim);
  ASSERT_TRUE(shim.ok());
  Restart();
  ASSERT_TRUE(base::SendSignal(shim->get(), SIGSTOP).ok());
  const auto soon = [] { return base::Deadline::After(absl::Milliseconds(1)); };
  // More often than the queue of its socket is long: a connect that has to wait
  // ends with the look, too.
  const base::Deadline one_connect =
      base::Deadline::After(base::kConnectTimeout);
  for (int i = 0; i < 12; ++i) {
    ASSERT_FALSE(runtime().AdoptContainer(spec, facts, soon()).ok());
  }
  EXPECT_TRUE(one_connect.Check().ok());
  ASSERT_TRUE(base::SendSignal(shim->get(), SIGCONT).ok());
  const auto adopted =
      runtime().AdoptContainer(spec, facts, base::Deadline::Never());
  ASSERT_TRUE(adopted.ok()) << adopted.status();
  EXPECT_EQ(adopted->start.process, started.process);
  ASSERT_TRUE(runtime().SignalContainer(spec.id, SIGTERM).ok());
  EXPECT_EQ(WaitExit(spec).exit_code, 9);
}

TEST_F(RuntimeAdopt, ExitedMeanwhileIsKnown) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const ContainerSpec spec =
      Shell(pod, "trap 'exit 42' TERM; echo up; while :; do sleep 0.01; done");
  const ContainerFacts facts = Create(spec);
  const StartFacts started = Start(spec);
  WaitLog(spec, "up");
  auto process = base::OpenProcess(started.process);
  auto shim = base::OpenProcess(started.shim);
  ASSERT_TRUE(process.ok() && shim.ok());
  // From here on nobody is there to hear of the exit.
  Restart();
  ASSERT_TRUE(base::SendSignal(process->get(), SIGTERM).ok());
  ASSERT_TRUE(*base::WaitExit(shim->get(), test::Patience(absl::Seconds(20))));
  auto adopted = runtime().AdoptContainer(spec, facts, base::Deadline::Never());
  ASSERT_TRUE(adopted.ok()) << adopted.status();
  EXPECT_EQ(adopted->liveness, ContainerLiveness::kExited);
  EXPECT_EQ(adopted->exit.exit_code, 42);
  EXPECT_GT(adopted->exit.finished_at_ns, 0);
  base::Reap(shim->get()).IgnoreError();
}

// While one lives, this process can open nothing: every number below the limit
// is taken.
class NoDescriptors {
 public:
  NoDescriptors() {
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
    const rlimit none = {3, before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  }
  ~NoDescriptors() { EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before_), 0); }

 private:
  rlimit before_ = {};
};

TEST_F(RuntimeAdopt, REL_18_AnExitThatNobodyCanReadYetIsNotLost) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const ContainerSpec spec =
      Shell(pod, "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done");
  Create(spec);
  const StartFacts started = Start(spec);
  WaitLog(spec, "up");
  auto process = base::OpenProcess(started.process);
  auto shim = base::OpenProcess(started.shim);
  ASSERT_TRUE(process.ok() && shim.ok());
  {
    const NoDescriptors none;
    ASSERT_TRUE(base::SendSignal(process->get(), SIGTERM).ok());
    ASSERT_TRUE(
        *base::WaitExit(shim->get(), test::Patience(absl::Seconds(20))));
    // However long that is: it is told once it can be read.
    const base::Deadline a_while = base::Deadline::After(absl::Seconds(1));
    while (a_while.Remaining() > absl::ZeroDuration()) {
      ASSERT_FALSE(HasExited(spec.id));
      absl::SleepFor(absl::Milliseconds(10));
    }
  }
  const ExitRecord exit = WaitExit(spec);
  EXPECT_EQ(exit.exit_code, 7);
  EXPECT_FALSE(exit.lost);
}

TEST_F(RuntimeAdopt, CreatedCanStillStart) {
  const SandboxSpec pod = UserNamespacePod();
  Create(pod);
  const ContainerSpec spec = Shell(pod, "echo late; id -u");
  const ContainerFacts facts = Create(spec);
  Restart();
  auto adopted = runtime().AdoptContainer(spec, facts, base::Deadline::Never());
  ASSERT_TRUE(adopted.ok()) << adopted.status();
  EXPECT_EQ(adopted->liveness, ContainerLiveness::kUnknown);
  Start(spec);
  EXPECT_EQ(WaitExit(spec).exit_code, 0);
  EXPECT_EQ(LogPayload(log_text(spec), "stdout"), "late\n0\n");
}

TEST_F(RuntimeAdopt, LostShimIsAnExitOf255) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const ContainerSpec spec = Shell(pod, "echo up; sleep 600");
  const ContainerFacts facts = Create(spec);
  const StartFacts started = Start(spec);
  WaitLog(spec, "up");
  auto shim = base::OpenProcess(started.shim);
  ASSERT_TRUE(shim.ok());
  ASSERT_TRUE(base::SendSignal(shim->get(), SIGKILL).ok());
  EXPECT_EQ(WaitExit(spec).exit_code, 255);
  // Its program cannot be left running unwatched.
  auto process = base::OpenProcess(started.process);
  EXPECT_TRUE(
      !process.ok() ||
      *base::WaitExit(process->get(), test::Patience(absl::Seconds(5))));
}

TEST_F(RuntimeAdopt, LostWhileAwayIsUnknownAndDead) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const ContainerSpec spec = Shell(pod, "echo up; sleep 600");
  const ContainerFacts facts = Create(spec);
  const StartFacts started = Start(spec);
  WaitLog(spec, "up");
  auto shim = base::OpenProcess(started.shim);
  auto process = base::OpenProcess(started.process);
  ASSERT_TRUE(shim.ok() && process.ok());
  Restart();
  ASSERT_TRUE(base::SendSignal(shim->get(), SIGKILL).ok());
  ASSERT_TRUE(*base::WaitExit(shim->get(), test::Patience(absl::Seconds(20))));
  auto adopted = runtime().AdoptContainer(spec, facts, base::Deadline::Never());
  ASSERT_TRUE(adopted.ok()) << adopted.status();
  EXPECT_EQ(adopted->liveness, ContainerLiveness::kUnknown);
  EXPECT_TRUE(
      *base::WaitExit(process->get(), test::Patience(absl::Seconds(20))));
  base::Reap(shim->get()).IgnoreError();
  base::Reap(process->get()).IgnoreError();
}

TEST_F(RuntimeAdopt, RemoveNeedsNoMemory) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const ContainerSpec running = Shell(pod, "echo up; sleep 600");
  const ContainerSpec created = Shell(pod, "true");
  Create(running);
  Create(created);
  const StartFacts started = Start(running);
  WaitLog(running, "up");
  auto shim = base::OpenProcess(started.shim);
  ASSERT_TRUE(shim.ok());
  Restart();
  EXPECT_THAT(runtime().ListContainerIds(),
              ::testing::UnorderedElementsAre(running.id, created.id));
  // Nothing is adopted: straight from the records.
  Remove(running);
  Remove(created);
  EXPECT_TRUE(*base::WaitExit(shim->get(), absl::ZeroDuration()));
  base::Reap(shim->get()).IgnoreError();
  EXPECT_TRUE(runtime().ListContainerIds().empty());
  Remove(pod);
}

}  // namespace
}  // namespace warren::runtime
