#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/process.h"
#include "runtime/namespaces/table.h"
#include "tests/kernel/runtime_host.h"

namespace warren::runtime {
namespace {

using ::testing::HasSubstr;

// Namespaces, signals and ends of processes.
class RuntimeProcess : public RuntimeTest {};

TEST_F(RuntimeProcess, AllEightNamespacesArePrivate) {
  const SandboxSpec pod = UserNamespacePod();
  const SandboxFacts facts = Create(pod);
  const ContainerSpec a = Shell(pod, "echo up; sleep 600");
  const ContainerSpec b = Shell(pod, "echo up; sleep 600");
  Create(a);
  Create(b);
  const StartFacts fa = Start(a);
  const StartFacts fb = Start(b);
  for (const NamespaceInfo& info : NamespaceTable()) {
    const uint64_t ia = NamespaceInode(fa.process.pid, info.name);
    const uint64_t ib = NamespaceInode(fb.process.pid, info.name);
    EXPECT_NE(ia, 0u) << info.name;
    EXPECT_NE(ia, NamespaceInode(getpid(), info.name)) << info.name;
    const bool shared = info.of_pod && info.kind != NamespaceKind::kPid;
    EXPECT_EQ(ia == ib, shared) << info.name;
    for (const NamespaceFact& fact : facts.namespaces) {
      if (fact.kind == info.kind && shared) {
        EXPECT_EQ(fact.inode, ia) << info.name;
      }
    }
  }
  auto view = runtime().InspectContainer(a.id);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->namespaces.size(), 8u);
  EXPECT_EQ(view->hostname, pod.hostname);
  for (const NamespaceView& v : view->namespaces) {
    EXPECT_FALSE(v.is_host) << InfoOf(v.kind).name;
  }
}

TEST_F(RuntimeProcess, ShmIsThePods) {
  const SandboxSpec pod = Pod();
  const SandboxSpec other = Pod();
  Create(pod);
  Create(other);
  Run(Shell(pod, "echo shared > /dev/shm/x"));
  EXPECT_EQ(Run(Shell(pod, "cat /dev/shm/x")), "shared\n");
  EXPECT_EQ(Run(Shell(other, "ls /dev/shm")), "");
}

TEST_F(RuntimeProcess, PidModes) {
  SandboxSpec pod = Pod();
  pod.pid = NamespaceMode::kPod;
  Create(pod);
  EXPECT_NE(Run(Shell(pod, "echo $$")), "1\n");
  ContainerSpec own = Shell(pod, "echo $$; echo up; exec sleep 600");
  own.pid = NamespaceMode::kContainer;
  Create(own);
  Start(own);
  WaitLog(own, "up");
  EXPECT_EQ(LogPayload(log_text(own), "stdout"), "1\nup\n");
  ContainerSpec guest = Shell(pod, "cat /proc/1/cmdline");
  guest.pid = NamespaceMode::kTarget;
  guest.pid_target = own.id;
  EXPECT_THAT(Run(guest), HasSubstr("sleep"));
  ContainerSpec host = Shell(pod, "readlink /proc/self/ns/pid");
  host.pid = NamespaceMode::kHost;
  char link[64] = {};
  ASSERT_GT(readlink("/proc/self/ns/pid", link, sizeof(link) - 1), 0);
  EXPECT_EQ(Run(host), std::string(link) + "\n");
  Remove(own);
  ContainerSpec late = Shell(pod, "true");
  late.pid = NamespaceMode::kTarget;
  late.pid_target = own.id;
  Create(late);
  EXPECT_EQ(runtime()
                .StartContainer(late.id, base::Deadline::Never())
                .status()
                .code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(RuntimeProcess, REL_10_PodInitReapsOrphans) {
  SandboxSpec pod = Pod();
  pod.pid = NamespaceMode::kPod;
  Create(pod);
  const ContainerSpec spec =
      Shell(pod, "(sleep 0.01 & ) ; (setsid sleep 0.01 & ); sleep 0.2; ps");
  const std::string out = Run(spec);
  EXPECT_THAT(out, ::testing::Not(HasSubstr("[sleep]")));
}

TEST_F(RuntimeProcess, SignalGoesToTheFirstProcessOnly) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const ContainerSpec spec =
      Shell(pod,
            "trap 'echo got; exit 3' TERM; echo up; while :; do sleep 0.01; "
            "done");
  Create(spec);
  EXPECT_EQ(runtime().SignalContainer(spec.id, SIGTERM).code(),
            absl::StatusCode::kFailedPrecondition);
  Start(spec);
  WaitLog(spec, "up");
  ASSERT_TRUE(runtime().SignalContainer(spec.id, SIGTERM).ok());
  const ExitRecord exit = WaitExit(spec);
  EXPECT_EQ(exit.exit_code, 3);
  EXPECT_EQ(exit.signal, 0);
  EXPECT_GT(exit.finished_at_ns, 0);
  EXPECT_THAT(log_text(spec), HasSubstr("got"));
}

TEST_F(RuntimeProcess, REL_11_KillTakesTheWholeTree) {
  for (const NamespaceMode pid :
       {NamespaceMode::kContainer, NamespaceMode::kPod, NamespaceMode::kHost}) {
    SandboxSpec pod = Pod();
    pod.pid = pid;
    Create(pod);
    const ContainerSpec spec = Shell(
        pod,
        "trap '' TERM INT HUP; for i in 1 2 3 4 5 6 7 8; do "
        "(setsid sh -c 'trap \"\" TERM; sleep 600 & sleep 600' &) ; done; "
        "echo up; while :; do sleep 1; done");
    Create(spec);
    Start(spec);
    WaitLog(spec, "up");
    ASSERT_TRUE(runtime().KillContainer(spec.id).ok());
    const ExitRecord exit = WaitExit(spec);
    EXPECT_EQ(exit.exit_code, 137);
    EXPECT_EQ(exit.signal, SIGKILL);
    auto view = runtime().InspectContainer(spec.id);
    ASSERT_TRUE(view.ok()) << view.status();
    EXPECT_TRUE(view->processes.empty());
    Remove(spec);
    Remove(pod);
  }
}

TEST_F(RuntimeProcess, ForkBombIsHeldByPidsLimitAndKilled) {
  SandboxSpec pod = Pod();
  pod.pid = NamespaceMode::kHost;
  Create(pod);
  ContainerSpec spec =
      Shell(pod, "b() { b & b & sleep 600; }; b 2>/dev/null; sleep 600");
  spec.resources.pids_limit = 20;
  spec.log_path.clear();
  Create(spec);
  Start(spec);
  size_t peak = 0;
  for (int i = 0; i < 100; ++i) {
    auto view = runtime().InspectContainer(spec.id);
    ASSERT_TRUE(view.ok()) << view.status();
    peak = std::max(peak, view->processes.size());
  }
  EXPECT_LE(peak, 20u);
  ASSERT_TRUE(runtime().KillContainer(spec.id).ok());
  EXPECT_EQ(WaitExit(spec).exit_code, 137);
}

TEST_F(RuntimeProcess, LeftoversOfASharedPidNamespaceDieWithTheFirst) {
  SandboxSpec pod = Pod();
  pod.pid = NamespaceMode::kHost;
  Create(pod);
  const ContainerSpec spec =
      Shell(pod, "(setsid sleep 600 >/dev/null 2>&1 &); exit 0");
  Run(spec);
  auto view = runtime().InspectContainer(spec.id);
  // Removal would wait for anything that is left; nothing may be.
  Remove(spec);
}

TEST_F(RuntimeProcess, OomIsSeen) {
  const SandboxSpec pod = Pod();
  Create(pod);
  ContainerSpec spec = Shell(pod, "dd if=/dev/zero of=/dev/null bs=200M");
  spec.args = {"dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"};
  spec.resources.memory_limit_bytes = 16 << 20;
  Create(spec);
  Start(spec);
  const ExitRecord exit = WaitExit(spec);
  EXPECT_EQ(exit.exit_code, 137);
  EXPECT_TRUE(exit.oom_killed);
}

TEST_F(RuntimeProcess, REL_20_ManyCyclesLeaveNothing) {
  const auto cycle = [this](int i) {
    SandboxSpec pod = i % 3 == 0 ? UserNamespacePod() : Pod();
    pod.pid = i % 2 == 0 ? NamespaceMode::kPod : NamespaceMode::kContainer;
    Create(pod);
    const ContainerSpec spec = Shell(pod, "true");
    Run(spec);
    const ContainerSpec unstarted = Shell(pod, "true");
    Create(unstarted);
    Remove(unstarted);
    Remove(spec);
    Remove(pod);
  };
  cycle(0);
  const Ledger before = Ledger::Read(dir());
  for (int i = 0; i < 30; ++i) cycle(i);
  ExpectEqual(before, Ledger::Read(dir()));
}

}  // namespace
}  // namespace warren::runtime
