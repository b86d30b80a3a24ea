#ifndef WARREN_AGENT_PODS_RECONCILER_H_
#define WARREN_AGENT_PODS_RECONCILER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <map>
#include <string>
#include <vector>

#include "agent/host/facts.h"
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
  // What could not be done, one sentence each. Lists go on showing the objects
  // concerned, so that Stop and Remove can be tried again.
  std::vector<std::string> problems;
  // Objects and records of which nobody could tell how they are (look.h): they
  // are left alone and looked at again. One sentence each.
  std::vector<std::string> unknown;
};

// Brings records and kernel together: at start it applies what
// reconcile_plan.h's pure Plan() decides, later it looks again at what nobody
// could tell then. Nothing is killed, stopped or forgotten before its loss is
// proven. Single-threaded: call Run() once, after PodNetwork::Init() and before
// any RPC is served, then Retry() from one thread.
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

  // Looks again at every unknown object whose operation lock is free, beside
  // calls that are served. Waits at most kPatience in all. The report is of
  // this call alone; its `unknown` names what is left.
  ReconcileReport Retry();
  bool AnyUnknown() const {
    return !unknown_.empty() || !store_->Unknown().empty();
  }

  // How long a whole pass waits for shims that hang, so that a start with many
  // of them serves soon (REL-2).
  static constexpr absl::Duration kPatience = absl::Seconds(5);

 private:
  // What is not known, by id.
  struct Unknown {
    ContainerPtr container;  // or
    PodSandboxPtr sandbox;
    std::string why;
  };

  // Reads records again that could not be read; what they tell of is listed
  // from now on, and unknown itself at first.
  void RetryRecords();
  // Restores what lacked a record of its own or its pod's, then does what the
  // plan says of this object alone. Its lock is held.
  void LookAgain(const ContainerPtr& container);
  void LookAgain(const PodSandboxPtr& sandbox);
  void RestoreSandbox(const PodSandboxPtr& sandbox, const HostFacts& host);
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
  // Keeps the object for Retry().
  void Doubt(const std::string& id, Unknown unknown);
  void ReportUnknown();
  // The first letters of an id, enough for a person.
  static std::string Short(const std::string& id) { return id.substr(0, 13); }
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
  base::Deadline patience_ = base::Deadline::Never();  // of this pass
  std::map<std::string, Unknown> unknown_;
  bool held_back_ = false;  // images_: a record cannot be read
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_RECONCILER_H_
