#ifndef WARREN_AGENT_PODS_CONTAINER_MANAGER_H_
#define WARREN_AGENT_PODS_CONTAINER_MANAGER_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/caller/call_context.h"
#include "agent/caller/steps.h"
#include "agent/cdi/registry.h"
#include "agent/cdi/spec.h"
#include "agent/convert/convert.h"
#include "agent/convert/volume_images.h"
#include "agent/cri/cri.h"
#include "agent/host/facts.h"
#include "agent/pods/output_collector.h"
#include "agent/pods/reconcile_trigger.h"
#include "agent/store/store.h"
#include "runtime/base/clock.h"
#include "runtime/base/undo_stack.h"
#include "runtime/image/image_store.h"
#include "runtime/runtime.h"

namespace warren::agent {

// What an operator says about devices.
struct DevicePolicy {
  std::vector<std::string> cdi_directories;  // later ones win
  bool belong_to_user = false;  // the owner of config.devices is run_as_user
};

// The container half of RuntimeService, without gRPC. Ids, errors, threads and
// waiting as in PodSandboxManager.
class ContainerManager {
 public:
  // Nothing is owned; all must outlive the manager. Installs itself as the
  // runtime's exit callback.
  ContainerManager(runtime::Runtime* runtime, image::ImageStore* images,
                   Store* store, const base::Clock* clock,
                   NodePolicy policy = {}, DevicePolicy devices = {});
  ~ContainerManager();

  // CreateContainer. Returns the id; no program runs yet. The same
  // (sandbox, name, attempt) again is validated as if the name were free, then
  // returns the id of the one that exists, which stays as it was first asked
  // for. kAlreadyExists if that has exited, or if the request is another one
  // (same_request.h); the message names the fields. kNotFound: no such sandbox,
  // or an image that is not local.
  absl::StatusOr<std::string> Create(const cri::CreateContainerRequest& request,
                                     const CallContext& call);

  // StartContainer. Returns after execve of the program. When that fails the
  // container is EXITED with code 128 and reason StartError.
  absl::Status Start(const std::string& id, const CallContext& call);

  // StopContainer. timeout > 0: stop signal to the first process, SIGKILL to
  // everything after so many seconds; otherwise SIGKILL at once. Returns when
  // the container is EXITED, or after 60 s of SIGKILL with kDeadlineExceeded (a
  // process may hang in the kernel). A second call while one waits sends no
  // second stop signal, and the shorter time-out wins. A cancelled call stops
  // waiting and kills nothing.
  absl::Status Stop(const std::string& id, int64_t timeout_seconds,
                    const CallContext& call);

  // The same in steps, which wait for the grace without a thread. The
  // manager outlives them.
  std::unique_ptr<Steps> BeginStop(std::string id, int64_t timeout_seconds,
                                   const CallContext& call);

  // RemoveContainer: kills what runs, waiting as Stop does, then frees all but
  // the log.
  absl::Status Remove(const std::string& id, const CallContext& call);

  // ContainerStatus; verbose fills info["info"] with JSON.
  absl::StatusOr<cri::ContainerStatusResponse> Status(const std::string& id,
                                                      bool verbose) const;

  // ListContainers: newest first; those still being made are not shown.
  std::vector<cri::Container> List(const cri::ContainerFilter& filter) const;

  // ExecSync. kDeadlineExceeded when the request's time-out passed; an exit
  // code other than 0 is not an error. The reply fits 16 MiB (STR-3).
  absl::StatusOr<cri::ExecSyncResponse> ExecSync(
      const cri::ExecSyncRequest& request, const CallContext& call);

  // The same in steps, which wait for the program without a thread. `request`
  // and `response`, which is complete once they are done, outlive them; so does
  // the manager.
  std::unique_ptr<Steps> BeginExecSync(const cri::ExecSyncRequest& request,
                                       const CallContext& call,
                                       cri::ExecSyncResponse* response);

  // UpdateContainerResources: cgroup and record, both or neither. Fields that
  // are not given stay as they are; oom_score_adj never changes.
  // kFailedPrecondition unless the container is CREATED or RUNNING: a container
  // that has ended has no cgroup to limit.
  absl::Status UpdateResources(
      const cri::UpdateContainerResourcesRequest& request,
      const CallContext& call);

  // ReopenContainerLog; kFailedPrecondition unless RUNNING. Does not take the
  // container's turn: a shim that hangs holds up no stop.
  absl::Status ReopenLog(const std::string& id, const CallContext& call);

  // The CDI files that the last request for a device could not read, each with
  // the reason; empty: none. Does not block.
  std::string UnreadableCdiFiles() const { return cdi_.Unreadable(); }

  // For PodSandboxManager, which marks the sandbox NOTREADY first, so that
  // nothing starts any more. KillAll: SIGKILL to all containers of the sandbox,
  // then waits for every exit. RemoveAll: removes them all.
  absl::Status KillAll(const std::string& sandbox_id, const CallContext& call);
  absl::Status RemoveAll(const std::string& sandbox_id,
                         const CallContext& call);

  // Told of what is left to do: leftovers of an exit, a failed undo. Pod
  // sandboxes use it, too.
  ReconcileTrigger* reconcile() { return &reconcile_; }

 private:
  friend class Reconciler;
  friend class StopSteps;

  // What a request comes to on this node; holds the images that it names.
  struct Resolved {
    std::shared_ptr<image::ImageHold> hold;
    VolumeHolds volume_holds;
    CdiEdits cdi;
    ConvertedContainer converted;
  };
  // Validates `config` as well. Reads images and CDI files and makes nothing.
  absl::StatusOr<Resolved> Resolve(const std::string& id,
                                   const cri::ContainerConfig& config,
                                   const PodSandboxState& pod);
  // Whether Create with `config` may answer with `container`, which has its
  // name; the container's operation lock is held.
  absl::Status CheckAgain(const Container& container,
                          const cri::ContainerConfig& config,
                          const PodSandbox& pod);
  // Makes a reserved container; its operation lock is held. On failure all is
  // undone, name and record included.
  absl::Status Build(const ContainerPtr& container, const PodSandboxPtr& pod);
  // The steps of Build; each effect pushes its undo.
  absl::Status Assemble(const ContainerPtr& container, const PodSandboxPtr& pod,
                        base::UndoStack* undo);
  // Completes the target's id; it must run in the same pod.
  absl::Status ResolvePidTarget(const std::string& sandbox_id,
                                runtime::ContainerSpec* spec);
  absl::Status StartLocked(const ContainerPtr& container);
  // For an adopted container: an update that was cut short is taken back, so
  // that cgroup and record agree. Its operation lock is held.
  absl::Status SettleUpdate(const ContainerPtr& container,
                            const base::Deadline& deadline);
  // Ends what runs, waiting without its lock, then removes.
  absl::Status EndAndRemove(const ContainerPtr& container,
                            const CallContext& call);
  // Of one that does not run; its operation lock is held.
  absl::Status RemoveLocked(const ContainerPtr& container,
                            const CallContext& call);
  // The caller of what follows holds no container's lock. Waits end with the
  // caller's patience, and at once with what they wait for.
  //
  struct Victim {
    ContainerPtr container;
    bool ran = false;  // it was seen running
  };
  enum class Shot {
    kEnded,      // there is nothing to kill
    kLeftovers,  // SIGKILL to what its first process left
    kSent,       // SIGKILL to all of it
    kNotYet,     // another call works on it
  };
  absl::StatusOr<Shot> Shoot(Victim* victim, const CallContext& call);
  // Until the container is EXITED, or `until` (monotonic nanoseconds).
  void AwaitExit(const Container& container, int64_t until,
                 const CallContext& call);
  // SIGKILL to all of them, again and again until each is EXITED, then to what
  // they left behind. They die side by side. An error concerns some of them;
  // the others are dead all the same, unless the time is over.
  absl::Status KillAndWait(std::vector<Victim> victims,
                           const CallContext& call);
  // Until no process is left in its cgroup; `give_up` as `until`.
  absl::Status AwaitLeftovers(const Container& container, int64_t give_up,
                              const CallContext& call);
  // Until no exec session is left in it.
  absl::Status AwaitSessions(const Container& container,
                             const CallContext& call);
  void OnExit(const std::string& id, const runtime::ExitRecord& exit);

  runtime::Runtime* const runtime_;
  image::ImageStore* const images_;
  Store* const store_;
  const base::Clock* const clock_;
  const NodePolicy policy_;
  const bool devices_belong_to_user_;
  CdiRegistry cdi_;
  ReconcileTrigger reconcile_;
  OutputBudget output_budget_;  // of all ExecSync calls
  // Exits come in through it, on the runtime's threads, several at a time; the
  // destructor closes it.
  struct ExitDoor {
    absl::Mutex mutex;
    ContainerManager* manager ABSL_GUARDED_BY(mutex) = nullptr;
  };
  const std::shared_ptr<ExitDoor> exits_;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_CONTAINER_MANAGER_H_
