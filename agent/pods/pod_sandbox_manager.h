#ifndef WARREN_AGENT_PODS_POD_SANDBOX_MANAGER_H_
#define WARREN_AGENT_PODS_POD_SANDBOX_MANAGER_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/caller/call_context.h"
#include "agent/cri/cri.h"
#include "agent/host/facts.h"
#include "agent/options/id_span.h"
#include "agent/pods/userns_pool.h"
#include "agent/store/store.h"
#include "netplugin/pod_network.h"
#include "runtime/base/clock.h"
#include "runtime/base/mutex.h"
#include "runtime/base/undo_stack.h"
#include "runtime/runtime.h"

namespace warren::agent {

class ContainerManager;

// The pod sandbox half of RuntimeService, without gRPC.
//
// Every id may be a unique prefix of hex digits. Errors: kInvalidArgument
// names the field at fault (also an empty or ambiguous id), kNotFound an
// unknown id (Stop and Remove: OK), kAlreadyExists a name that a stopped
// sandbox still holds, kFailedPrecondition a wrong state, kDeadlineExceeded
// and kCancelled a caller that no longer waits.
//
// Thread-safe. Calls on one sandbox run one after the other, calls on
// different ones side by side; Status and List never wait. The wait for other
// calls on the same object, and for processes to die, ends at the caller's
// deadline or when the caller has gone.
class PodSandboxManager {
 public:
  // Nothing is owned; all must outlive the manager. Installs itself as the
  // runtime's callback for ends of pod inits.
  PodSandboxManager(runtime::Runtime* runtime, netplugin::PodNetwork* network,
                    Store* store, ContainerManager* containers,
                    const base::Clock* clock, NodePolicy policy = {},
                    IdSpan userns_pool = {});
  ~PodSandboxManager();

  // A pod whose pod init ends by itself, or is killed, is NOTREADY from then
  // on, and Status says why (info, "endedBecause").

  // RunPodSandbox. Returns the id; the sandbox is READY. The same name again
  // returns the id of the READY sandbox that has it, waiting for one that is
  // still being made; kAlreadyExists names what differs if the request is
  // another one (same_request.h). All or nothing. If even the undoing fails,
  // lists show the sandbox as NOTREADY until Remove succeeds (REL-7). A caller
  // that gave up meanwhile gets the finished sandbox when it repeats the call.
  absl::StatusOr<std::string> Run(const cri::RunPodSandboxRequest& request,
                                  const CallContext& call);

  // StopPodSandbox: NOTREADY first, then every process of its containers is
  // killed at once and without grace (the kubelet has stopped containers one
  // by one before), network and namespaces are taken down. Each step is tried
  // whatever the others say; a repeated call does what is left.
  absl::Status Stop(const std::string& id, const CallContext& call);

  // RemovePodSandbox: Stop, removal of its containers, removal. Logs stay.
  absl::Status Remove(const std::string& id, const CallContext& call);

  // PodSandboxStatus; verbose fills info["info"] with JSON.
  absl::StatusOr<cri::PodSandboxStatusResponse> Status(const std::string& id,
                                                       bool verbose) const;

  // ListPodSandbox: newest first; those still being made are not shown.
  std::vector<cri::PodSandbox> List(const cri::PodSandboxFilter& filter) const;

  // UpdatePodSandboxResources: kept and shown, nothing is written to cgroups.
  absl::Status UpdateResources(
      const cri::UpdatePodSandboxResourcesRequest& request,
      const CallContext& call);

 private:
  friend class Reconciler;

  // How long each call of the network may wait for anything but the kernel. Not
  // the caller's deadline: a caller that gave up finds the pod when it tries
  // again, and taking one down goes on in any case.
  static constexpr absl::Duration kNetworkPatience = absl::Minutes(1);

  // Makes a reserved sandbox; its operation lock is held. On failure all is
  // undone, name and record included.
  absl::Status Build(const PodSandboxPtr& sandbox);
  // The steps of Build; each effect pushes its undo.
  absl::Status Assemble(const PodSandboxPtr& sandbox, base::UndoStack* undo);
  // Takes the ids of the pod's user namespace: those it asks for, or, when it
  // asks for none and the operator wants one for everybody, a range of the
  // pool, which becomes part of spec and record.
  absl::Status TakeIds(const PodSandboxPtr& sandbox, base::UndoStack* undo);
  // Takes the ids that the record names, granted or chosen, after a restart.
  void RestoreIds(const PodSandboxPtr& sandbox);
  // Only once no process of the pod is left and its namespace is gone.
  void GiveIdsBack(const PodSandboxPtr& sandbox);
  // Gives the pod's network back, whatever there is of it.
  absl::Status TearDownNetwork(const PodSandboxPtr& sandbox);
  void SetPhase(const PodSandboxPtr& sandbox, record::Phase phase);
  // The whole stop; the caller holds no lock of the sandbox.
  absl::Status StopFound(const PodSandboxPtr& sandbox, const CallContext& call);
  // What follows is called with the sandbox's operation lock held.
  void MarkEnded(const PodSandboxPtr& sandbox);
  // The second half of a stop, once its containers were killed, with `result`:
  // network and namespaces.
  absl::Status TakeDown(const PodSandboxPtr& sandbox, absl::Status result,
                        const CallContext& call);
  absl::Status StopLocked(const PodSandboxPtr& sandbox,
                          const CallContext& call);
  absl::Status RemoveLocked(const PodSandboxPtr& sandbox,
                            const CallContext& call);

  // On a thread of the runtime.
  void OnPodInitExit(const std::string& id);
  static constexpr char kPodInitEnded[] =
      "the pod init has ended, and all of the pod's pid namespace with it; "
      "stop "
      "and remove the pod sandbox";
  // A ready pod becomes NOTREADY and says why; nobody has asked for a stop.
  void EndByItself(const PodSandboxPtr& sandbox, const std::string& why);

  runtime::Runtime* const runtime_;
  netplugin::PodNetwork* const network_;
  Store* const store_;
  ContainerManager* const containers_;
  const base::Clock* const clock_;
  const NodePolicy policy_;
  UsernsPool userns_pool_;
  base::Mutex building_mutex_;
  // Pods that are being made and cannot be found yet; true once the pod init
  // has ended.
  std::map<std::string, bool> building_ ABSL_GUARDED_BY(building_mutex_);
  // Ends of pod inits come in through it; the destructor closes it.
  struct PodInitDoor {
    absl::Mutex mutex;
    PodSandboxManager* manager ABSL_GUARDED_BY(mutex) = nullptr;
  };
  const std::shared_ptr<PodInitDoor> pod_inits_ =
      std::make_shared<PodInitDoor>();
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_POD_SANDBOX_MANAGER_H_
