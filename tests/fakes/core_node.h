#ifndef WARREN_TESTS_FAKES_CORE_NODE_H_
#define WARREN_TESTS_FAKES_CORE_NODE_H_

#include <memory>
#include <string>

#include "agent/cri/cri.h"
#include "agent/pods/container_manager.h"
#include "agent/pods/pod_sandbox_manager.h"
#include "agent/pods/reconciler.h"
#include "agent/store/store.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_image_store.h"
#include "tests/fakes/fake_pod_network.h"
#include "tests/fakes/fake_runtime.h"
#include "tests/fakes/faults.h"

namespace warren::test {

// A state directory below $TMPDIR, removed at the end. CopyOf() makes another
// one with the same content. Aborts the program when the disk will not.
class StateDirectory {
 public:
  StateDirectory();
  ~StateDirectory();
  StateDirectory(const StateDirectory&) = delete;
  StateDirectory& operator=(const StateDirectory&) = delete;
  static std::unique_ptr<StateDirectory> CopyOf(const std::string& path);

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The agent's core on fakes, started on a state directory and a kernel that an
// earlier one may have left. Destroying it is the agent's death: nothing is
// cleaned up. Thread-safe where its parts are.
class CoreNode {
 public:
  explicit CoreNode(const std::string& state_dir, FakeKernel kernel = {},
                    std::string boot_id = "boot-1",
                    const agent::NodePolicy& policy = {},
                    agent::IdSpan userns_pool = {});
  ~CoreNode();

  // What an agent does before it serves, and then the first try of all that
  // its reconcile loop finds. The reports of both.
  absl::StatusOr<agent::ReconcileReport> Reconcile();

  FakeKernel kernel() const;  // of runtime and network together

  // Short forms with good requests.
  absl::StatusOr<std::string> RunPod(const std::string& name);
  absl::StatusOr<std::string> Create(const std::string& pod,
                                     const std::string& name);
  std::string MustRunPod(const std::string& name);
  std::string MustCreate(const std::string& pod, const std::string& name);
  std::string MustStart(const std::string& pod, const std::string& name);

  agent::cri::ContainerStatus ContainerStatus(const std::string& id);
  // Waits until the container is EXITED.
  agent::cri::ContainerStatus AwaitExit(const std::string& id);

  Faults faults;
  FakeClock clock;
  FakeRuntime runtime;
  FakePodNetwork network;
  FakeImageStore images;
  std::unique_ptr<agent::Store> store;
  std::unique_ptr<agent::ContainerManager> containers;
  std::unique_ptr<agent::PodSandboxManager> sandboxes;
};

// One try of everything that there is to do, on the caller's thread; `unknown`
// is what is left.
agent::ReconcileReport SettleOnce(agent::Reconciler* reconciler);
// Adopt(), then the same.
absl::StatusOr<agent::ReconcileReport> AdoptAndSettleOnce(
    agent::Reconciler* reconciler);

// Requests that a node accepts.
agent::cri::RunPodSandboxRequest PodRequest(const std::string& name);
agent::cri::CreateContainerRequest ContainerRequest(
    const std::string& pod_id, const agent::cri::PodSandboxConfig& pod,
    const std::string& name);

}  // namespace warren::test

#endif  // WARREN_TESTS_FAKES_CORE_NODE_H_
