#ifndef WARREN_AGENT_PODS_RECONCILER_H_
#define WARREN_AGENT_PODS_RECONCILER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <string>
#include <vector>

#include "agent/pods/container_manager.h"
#include "agent/pods/pod_sandbox_manager.h"
#include "agent/pods/reconcile_plan.h"
#include "agent/store/store.h"
#include "netplugin/pod_network.h"
#include "runtime/base/clock.h"
#include "runtime/image/image_store.h"
#include "runtime/runtime.h"

namespace warren::agent {

// What a start found and did; for one log line and the Status condition.
struct ReconcileReport {
  int sandboxes_adopted = 0;
  int containers_adopted = 0;  // still running, or created
  int exits_found = 0;         // died while the agent was away
  int undone = 0;              // half-made, half-stopped or half-removed
  int orphans_removed = 0;     // kernel objects without a record
  std::vector<std::string> quarantined;  // damaged records (REL-16)
  // Records of which nothing is known, "<file>: <reason>". Their objects are
  // left as they are.
  std::vector<std::string> unknown;
  // What could not be done, one sentence each. Lists go on showing the objects
  // concerned, so that Stop and Remove can be tried again.
  std::vector<std::string> problems;
};

// Brings records and kernel together at start: applies what
// reconcile_plan.h's pure Plan() decides. Single-threaded: call Run() once,
// after PodNetwork::Init() and before any RPC is served.
class Reconciler {
 public:
  // All are borrowed and must outlive it.
  Reconciler(runtime::Runtime* runtime, netplugin::PodNetwork* network,
             image::ImageStore* images, Store* store,
             PodSandboxManager* sandboxes, ContainerManager* containers,
             const base::Clock* clock);

  // Loads the store, then acts. An error means that the agent must not start
  // (the state directory cannot be read, or is of a newer version); trouble
  // with single objects is in the report.
  absl::StatusOr<ReconcileReport> Run();

 private:
  // Takes out of the plan's input what belongs to unknown records.
  void LeaveUnknown(ReconcileInput* input);
  void Restore();
  void ApplyContainers(const ReconcilePlan& plan);
  void ApplySandboxes(const ReconcilePlan& plan);
  void RestoreContainer(const ContainerPtr& container);
  void AdoptContainer(const ContainerPtr& container);
  void EndContainer(const ContainerPtr& container, absl::string_view message);
  void RemoveContainer(const ContainerPtr& container);
  void AdoptSandbox(const PodSandboxPtr& sandbox);
  // An error only when the pod's network is known to be lost.
  absl::Status CheckNetwork(const PodSandboxPtr& sandbox);
  void RemoveOrphans(const ReconcilePlan& plan);
  // Puts a failure into the report.
  void Try(const std::string& what, const absl::Status& status);

  runtime::Runtime* const runtime_;
  netplugin::PodNetwork* const network_;
  image::ImageStore* const images_;
  Store* const store_;
  PodSandboxManager* const sandboxes_;
  ContainerManager* const containers_;
  const base::Clock* const clock_;
  ReconcileReport report_;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_RECONCILER_H_
