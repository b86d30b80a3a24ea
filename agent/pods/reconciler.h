#ifndef WARREN_AGENT_PODS_RECONCILER_H_
#define WARREN_AGENT_PODS_RECONCILER_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>

#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/host/facts.h"
#include "agent/pods/container_manager.h"
#include "agent/pods/pod_sandbox_manager.h"
#include "agent/pods/reconcile_plan.h"
#include "agent/pods/reconcile_queue.h"
#include "agent/store/store.h"
#include "netplugin/pod_network.h"
#include "runtime/base/clock.h"
#include "runtime/base/mutex.h"
#include "runtime/image/image_store.h"
#include "runtime/runtime.h"

namespace warren::agent {

// What a start or a step found and did; for log lines and Status conditions.
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

  void Add(ReconcileReport other);
};

// What a step came to.
struct ReconcileOutcome {
  enum class Kind {
    kDone,     // there is nothing to do any more
    kBusy,     // a call works on it
    kUnknown,  // nobody can tell how it is
    kFailed,
  };
  static ReconcileOutcome Of(Kind kind) { return {.kind = kind}; }

  Kind kind = Kind::kDone;
  std::string why = {};                 // of kUnknown and kFailed: sentences
  std::vector<ReconcileKey> next = {};  // to be looked at as well
  // Of kDone: to be looked at again after so long.
  std::optional<absl::Duration> again = std::nullopt;
};

// Brings records and kernel together, one object at a time: it looks, asks
// reconcile_plan.h's pure Plan() and takes the step, with the object's
// operation lock held. An object that a call works on is left to that call.
// Nothing is killed, stopped or forgotten before its loss is proven.
//
// Adopt() comes first, alone, after PodNetwork::Init() and before any call is
// served. Then the rest is thread-safe; ReconcileLoop decides when.
class Reconciler {
 public:
  // All are borrowed and must outlive it.
  Reconciler(runtime::Runtime* runtime, netplugin::PodNetwork* network,
             image::ImageStore* images, Store* store,
             PodSandboxManager* sandboxes, ContainerManager* containers,
             const base::Clock* clock);

  // What has to be done before calls are served: loads the store, takes every
  // recorded container, pod and address up again, and records what has ended.
  // Of the kernel's objects it removes none but links without a pod: their
  // addresses would be given to new pods. Objects that are to be removed are
  // withdrawn (store.h). Waits for shims that hang and for the processes of
  // containers without a shim; after kAdoptPatience what was not looked at yet
  // is left to Settle().
  //
  // An error means that the agent must not start (the state directory cannot be
  // read, or is of a newer version); trouble with single objects is in the
  // report.
  absl::StatusOr<ReconcileReport> Adopt();

  // What there is to do now. Reads the store and lists the kernel's objects.
  std::vector<ReconcileKey> Scan();
  // One step for one key; adds to `report`. Takes at most kStepPatience, and as
  // long as the kernel needs to delete a tree; what it waits for is given up as
  // soon as a call wants the object.
  ReconcileOutcome Settle(const ReconcileKey& key, ReconcileReport* report);
  // Ends every wait of a Settle(), now and from now on.
  void Cancel() { cancelled_ = true; }

  // Objects and records of which nobody could tell so far. Does not block.
  std::vector<std::string> Unknown() const;

  // How long a start, or a step, waits for shims that hang, so that a start
  // with many of them serves soon (REL-2).
  static constexpr absl::Duration kShimPatience = absl::Seconds(5);
  static constexpr absl::Duration kAdoptPatience = absl::Seconds(30);
  // Of a removal or stop. More than the runtime's own waits, of which there are
  // up to three of 10 s each: it ends a shim that hangs only after the second.
  static constexpr absl::Duration kStepPatience = absl::Seconds(35);

 private:
  // ---- reconciler.cc: the start, and what it has in common with a step ----
  void AdoptAll(const ReconcilePlan& plan, ReconcileReport* report);
  void AdoptContainer(const ContainerPtr& container,
                      const base::Deadline& patience, ReconcileReport* report);
  void AdoptSandbox(const PodSandboxPtr& sandbox, ReconcileReport* report);
  void EndContainer(const ContainerPtr& container, absl::string_view message,
                    ReconcileReport* report);
  // What becomes of a network that is not as it was made: the pod itself may
  // have changed it.
  enum class Altered { kIsTold, kIsItsOwn };
  // Takes the pod's address again, unless that is held. An error only when the
  // pod's network is known to be lost.
  absl::Status CheckNetwork(const PodSandboxPtr& sandbox, Altered altered,
                            const base::Deadline& deadline,
                            ReconcileReport* report);
  // Takes the address of a pod that goes, or of which nobody knows.
  void HoldAddress(const PodSandboxPtr& sandbox);
  void RemoveOrphanLinks(ReconcileReport* report);

  // ---- reconciler_restore.cc: what an object has beside its record ----
  void Restore(ReconcileReport* report);
  void RestoreSandbox(const PodSandboxPtr& sandbox, const HostFacts& host,
                      ReconcileReport* report);
  void RestoreContainer(const ContainerPtr& container, ReconcileReport* report);
  void RestoreImages(const ContainerPtr& container, ReconcileReport* report);
  // Whether somebody may need layers that nobody holds.
  void HoldBackImages();

  // ---- reconciler_steps.cc: what there is to do, and what has no record ----
  ReconcileInput World() const;
  ReconcileOutcome RetryRecords(ReconcileReport* report);
  ReconcileOutcome SettleLinks(ReconcileReport* report);
  ReconcileOutcome SettleImages(ReconcileReport* report);
  ReconcileOutcome SettleOrphan(const ReconcileKey& key,
                                ReconcileReport* report);

  // ---- reconciler_objects.cc: what has a record ----
  // `wanted` ends its waits, too.
  ReconcileOutcome SettleContainer(const std::string& id,
                                   const std::function<bool()>& wanted,
                                   ReconcileReport* report);
  ReconcileOutcome SettleSandbox(const std::string& id,
                                 ReconcileReport* report);
  // A pod of which something was taken away (REL-25: a namespace, its link, its
  // pod init) becomes NOTREADY and says why; it is not stopped, as its
  // containers may have a grace that only the kubelet knows. Rules of the node
  // that are missing are put back.
  void LookAtReadyPod(const std::string& id, ReconcileReport* report);
  // Of an object that a step has removed.
  ReconcileOutcome Removed(const std::string& id, ReconcileReport own,
                           ReconcileReport* report);
  // Their operation lock is held.
  void Step(const ContainerPtr& container, const base::Deadline& deadline,
            ReconcileReport* report);
  void Step(const PodSandboxPtr& sandbox, const base::Deadline& deadline,
            ReconcileReport* report);
  void RemoveContainer(const ContainerPtr& container,
                       const base::Deadline& deadline, ReconcileReport* report);
  void RemoveSandbox(const PodSandboxPtr& sandbox,
                     const base::Deadline& deadline, ReconcileReport* report);
  void KillLeftovers(const ContainerPtr& container,
                     const base::Deadline& deadline, ReconcileReport* report);
  ReconcileAction PlanFor(const ContainerPtr& container) const;
  ReconcileAction PlanFor(const PodSandboxPtr& sandbox) const;
  bool MayHaveLeftovers(const ContainerPtr& container) const;
  // Over at the latest when Cancel() was called.
  base::Deadline StepDeadline(absl::Duration patience) const;

  bool Seen(const std::string& id) const;
  void SetSeen(const std::string& id);
  // `why` is one sentence; empty: it was not asked yet.
  void SetUnseen(const std::string& id, std::string why);
  // The object is not unknown any more when `action` needs no look at it.
  void SetAsked(const std::string& id, ReconcileAction action);
  // The first letters of an id, enough for a person.
  static std::string Short(const std::string& id) { return id.substr(0, 13); }
  // Puts a failure into the report.
  static void Try(const std::string& what, const absl::Status& status,
                  ReconcileReport* report);

  runtime::Runtime* const runtime_;
  netplugin::PodNetwork* const network_;
  image::ImageStore* const images_;
  Store* const store_;
  PodSandboxManager* const sandboxes_;
  ContainerManager* const containers_;
  const base::Clock* const clock_;
  std::atomic<bool> cancelled_{false};
  // Held while records become known or orphans are told from the rest: in
  // between an object is in neither list.
  base::Mutex records_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  mutable base::Mutex mutex_;
  // Recorded objects whose kernel side this agent has not taken up, and why.
  std::map<std::string, std::string> unseen_ ABSL_GUARDED_BY(mutex_);
  // Ended containers of which no process is left.
  std::set<std::string> emptied_ ABSL_GUARDED_BY(mutex_);
  // Containers whose layers could not be held again.
  std::set<std::string> unheld_ ABSL_GUARDED_BY(mutex_);
  // Orphaned containers; true once their removal was tried.
  std::map<std::string, bool> orphans_ ABSL_GUARDED_BY(mutex_);
  bool collected_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_RECONCILER_H_
