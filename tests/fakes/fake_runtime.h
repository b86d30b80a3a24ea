#ifndef WARREN_TESTS_FAKES_FAKE_RUNTIME_H_
#define WARREN_TESTS_FAKES_FAKE_RUNTIME_H_

#include <absl/synchronization/notification.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/runtime.h"
#include "tests/fakes/fake_kernel.h"
#include "tests/fakes/faults.h"

namespace warren::test {

// A runtime whose kernel is a value. Exits are reported from a thread of its
// own, as by the real one. It also checks its callers: calls on one object
// that overlap are counted (all but StartExec, which stands beside the rest).
//
// StartExec knows these programs: "echo" prints its arguments, "false" exits
// with 1, "sleep" runs until it is killed, also when its container has ended:
// its caller sees to it. Terminals are not known. Thread-safe.
class FakeRuntime : public runtime::Runtime {
 public:
  explicit FakeRuntime(Faults* faults, FakeKernel kernel = {});
  ~FakeRuntime() override;

  // ---- For tests ----
  FakeKernel kernel() const;
  // The first process of a container ends.
  void Exit(const std::string& id, runtime::ExitRecord exit);
  // The agent is away: it ends, and nobody is told.
  void ExitUnseen(const std::string& id, runtime::ExitRecord exit);
  // The shim and its record vanish too.
  void Lose(const std::string& id);
  // Containers made from now on: ignore stop signals; survive SIGKILL until
  // Release(); end before StartContainer returns; leave processes behind.
  struct Manners {
    bool ignore_signals = false;
    bool unkillable = false;
    bool exit_at_once = false;
    bool leave_others = false;
  };
  void SetManners(Manners manners);
  void Release(const std::string& id);  // an unkillable one dies now
  // The pod init of a pod ends, although nobody stops the pod.
  void EndPodInit(const std::string& sandbox_id);
  // Somebody takes the namespaces of a pod away.
  void DropPins(const std::string& sandbox_id);
  // RemoveContainer of this one waits until then, whatever its deadline says.
  void HoldRemoval(const std::string& id, absl::Notification* until);
  int overlaps() const;
  std::vector<std::pair<std::string, int>> signals() const;
  void WaitForExec(int sessions);  // until so many sessions run
  // The options of an operator: where cgroups go that no request places.
  void SetCgroupParent(std::string parent);
  // Calls of StartContainer wait until Open(): for tests of queues.
  void CloseGate();
  void OpenGate();
  void WaitAtGate(int waiting);

  // ---- Runtime ----
  runtime::Features GetFeatures() const override;
  void SetExitCallback(ExitCallback callback) override;
  void SetPodInitCallback(PodInitCallback callback) override;
  absl::Status ResolveSandbox(runtime::SandboxSpec* spec,
                              const base::ProcessId& process) override;
  absl::Status ResolveContainer(runtime::ContainerSpec* spec,
                                const base::ProcessId& process) override;
  absl::StatusOr<runtime::SandboxFacts> CreateSandbox(
      const runtime::SandboxSpec& spec) override;
  absl::Status AdoptSandbox(const runtime::SandboxSpec& spec,
                            const runtime::SandboxFacts& facts) override;
  absl::StatusOr<base::UniqueFd> OpenSandboxNetns(
      const std::string& sandbox_id) override;
  absl::Status StopSandbox(const runtime::SandboxSpec& spec,
                           const base::Deadline& deadline) override;
  absl::Status RemoveSandbox(const runtime::SandboxSpec& spec,
                             const base::Deadline& deadline) override;
  absl::StatusOr<runtime::ContainerFacts> CreateContainer(
      const runtime::ContainerSpec& spec) override;
  absl::StatusOr<runtime::AdoptedContainer> AdoptContainer(
      const runtime::ContainerSpec& spec, const runtime::ContainerFacts& facts,
      const base::Deadline& deadline) override;
  absl::StatusOr<runtime::StartFacts> StartContainer(
      const std::string& container_id, const base::Deadline& deadline) override;
  absl::Status UpdateResources(const std::string& container_id,
                               const runtime::Resources& from,
                               const runtime::Resources& to,
                               const base::Deadline& deadline) override;
  absl::Status SignalContainer(const std::string& container_id,
                               int signal) override;
  absl::Status KillContainer(const std::string& container_id) override;
  absl::Status AwaitContainerDeath(const std::string& container_id,
                                   const base::Deadline& deadline) override;
  absl::Status RemoveContainer(const runtime::ContainerSpec& spec,
                               const base::Deadline& deadline) override;
  absl::Status ReopenLog(const std::string& container_id,
                         const base::Deadline& deadline) override;
  absl::StatusOr<std::unique_ptr<runtime::ExecProcess>> StartExec(
      const std::string& container_id, runtime::ExecSpec spec,
      const base::Deadline& deadline) override;
  absl::StatusOr<runtime::SandboxView> InspectSandbox(
      const runtime::SandboxSpec& spec) override;
  absl::StatusOr<runtime::ContainerView> InspectContainer(
      const std::string& container_id) override;
  std::vector<std::string> ListSandboxIds() override;
  std::vector<std::string> ListContainerIds() override;

 private:
  class Turn;  // one call on one object
  class Exec;  // one session

  // False: it was not running.
  bool EndLocked(const std::string& id, runtime::ExitRecord exit);
  // Made or adopted in this life of the agent?
  absl::Status CheckKnown(const std::string& id) const;
  // Is it where its spec says? With the mutex held.
  absl::Status CheckLeaf(const runtime::ContainerSpec& spec) const;
  void Report();

  Faults* const faults_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  FakeKernel kernel_;
  std::set<std::string> known_;
  std::set<std::string> busy_;
  int overlaps_ = 0;
  int exec_sessions_ = 0;
  std::string cgroup_parent_ = "/fake";
  bool gate_closed_ = false;
  int at_gate_ = 0;
  std::map<std::string, absl::Notification*> held_removals_;
  Manners manners_;
  std::map<std::string, Manners> manners_of_;
  std::vector<std::pair<std::string, int>> signals_;
  std::deque<std::pair<std::string, runtime::ExitRecord>> exits_;
  bool stop_ = false;
  std::mutex callback_mutex_;  // held while the callback runs
  ExitCallback callback_;
  PodInitCallback pod_init_callback_;
  int32_t next_pid_ = 1000;
  std::thread reporter_;  // last: it uses the rest
};

}  // namespace warren::test

#endif  // WARREN_TESTS_FAKES_FAKE_RUNTIME_H_
