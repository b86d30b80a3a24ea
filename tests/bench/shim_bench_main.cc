// shim_bench [containers]: starts that many idle containers (20), prints the
// proportional memory (Pss) of their shims and of the pod init of a pod, and
// percentiles of the times of starting a container, of an exec and of making
// a pod's namespaces. Runs as root in namespaces of its own.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/process.h"
#include "tests/kernel/shim_host.h"

namespace warren::test {
namespace {

int g_count = 20;

constexpr uint64_t kPod =
    CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | 0x80 /* CLONE_NEWTIME */;

class Stopwatch {
 public:
  double Microseconds() const {
    return static_cast<double>(base::SystemClock().MonotonicNow() - start_) /
           1e3;
  }

 private:
  int64_t start_ = base::SystemClock().MonotonicNow();
};

void Print(const char* what, std::vector<double> us) {
  std::sort(us.begin(), us.end());
  printf("%-34s p50 %7.0f us   p90 %7.0f us   min %7.0f us\n", what,
         us[us.size() / 2], us[us.size() * 9 / 10], us[0]);
}

// Sum of one line of /proc/<pid>/smaps_rollup, kB.
long Rollup(pid_t pid, const std::string& key) {
  const std::string text =
      Slurp(AT_FDCWD, "/proc/" + std::to_string(pid) + "/smaps_rollup");
  const size_t at = text.find("\n" + key + ":");
  return at == std::string::npos ? 0 : atol(text.c_str() + at + key.size() + 2);
}

class ShimBench : public ShimTest {
 public:
  void TestBody() override {
    Containers("container", 0);
    Containers("container with user namespace", CLONE_NEWUSER);
    Sandboxes("sandbox", kPod);
    Sandboxes("sandbox with user namespace", kPod | CLONE_NEWUSER);
    Sandboxes("sandbox with pod init", kPod | CLONE_NEWPID);
  }

 private:
  void Containers(const std::string& what, uint64_t extra) {
    Pod pod = MakePod(kPod | extra);
    std::vector<ContainerLaunch> launches;
    for (int i = 0; i < g_count; ++i) {
      launches.push_back(Container("", &pod));
      auto* args = launches.back().container()->mutable_process();
      args->clear_args();
      args->add_args("/bin/sleep");
      args->add_args("1000");
    }
    std::vector<runtime::Launched> running;
    std::vector<double> times;
    for (ContainerLaunch& launch : launches) {
      const Stopwatch watch;
      running.push_back(Start(&launch));
      times.push_back(watch.Microseconds());
    }
    Print((what + ": start").c_str(), times);
    long pss = 0;
    long dirty = 0;
    for (const runtime::Launched& launched : running) {
      pss += Rollup(launched.shim.id.pid, "Pss");
      dirty += Rollup(launched.shim.id.pid, "Private_Dirty");
    }
    printf("%-34s Pss %ld kB   private dirty %ld kB (mean of %d)\n",
           (what + ": shim memory").c_str(), pss / g_count, dirty / g_count,
           g_count);
    Execs(what, running[0], extra != 0);
    for (const runtime::Launched& launched : running) {
      auto pidfd = base::OpenProcess(launched.process);
      if (pidfd.ok()) base::SendSignal(pidfd->get(), SIGKILL).IgnoreError();
      AwaitEnd(launched);
    }
    DropPod(&pod);
  }

  void Execs(const std::string& what, const runtime::Launched& target,
             bool user) {
    std::vector<double> times;
    for (int i = 0; i < 5 * g_count; ++i) {
      FdList fds;
      ExecPipes pipes;
      auto request = ExecRequest(target, {"/bin/true"}, user, &fds, &pipes);
      const Stopwatch watch;
      auto session = launcher().LaunchExec(request, fds.Numbers());
      if (session.ok())
        session->Wait(base::Deadline::After(absl::Seconds(10))).IgnoreError();
      times.push_back(watch.Microseconds());
    }
    Print((what + ": exec of true").c_str(), times);
  }

  void Sandboxes(const std::string& what, uint64_t flags) {
    std::vector<double> times;
    for (int i = 0; i < g_count; ++i) {
      FdList fds;
      Pod pod;
      pod.request = SandboxRequest(flags, &fds, &pod.dir);
      pod.request.mutable_sandbox()->set_hostname("bench");
      pod.request.mutable_sandbox()->set_shm_size_bytes(64 << 20);
      const Stopwatch watch;
      auto launched = launcher().LaunchSandbox(pod.request, fds.Numbers());
      times.push_back(watch.Microseconds());
      if (!launched.ok()) {
        printf("%s\n", launched.status().ToString().c_str());
        return;
      }
      pod.launched = *std::move(launched);
      if (i == 0 && pod.launched.process.pid != 0) {
        printf("%-34s Pss %ld kB   anonymous %ld kB (only one alive)\n",
               "pod init: memory", Rollup(pod.launched.process.pid, "Pss"),
               Rollup(pod.launched.process.pid, "Anonymous"));
      }
      DropPod(&pod);
    }
    Print((what + ": make").c_str(), times);
  }
};

}  // namespace
}  // namespace warren::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc > 1) warren::test::g_count = std::max(1, atoi(argv[1]));
  testing::RegisterTest(
      "ShimBench", "Costs", nullptr, nullptr, __FILE__, __LINE__,
      []() -> warren::test::ShimTest* { return new warren::test::ShimBench; });
  return RUN_ALL_TESTS();
}
