#ifndef WARREN_RUNTIME_RUNTIME_H_
#define WARREN_RUNTIME_RUNTIME_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/deadline.h"
#include "runtime/base/process.h"
#include "runtime/base/unique_fd.h"
#include "runtime/exec.h"
#include "runtime/specs.h"
#include "runtime/views.h"

// The seam between the agent and everything that makes pods and containers
// out of kernel objects. Plain values only: no CRI messages, no protobuf.
//
// The runtime keeps no database. Every kernel object's name follows from the
// object's id and spec, so that Stop/Remove work from the spec alone, also
// after a crash half-way (REL-3), and AdoptX() re-seats it after a restart.
namespace warren::runtime {

// ---- The runtime ----------------------------------------------------------

// Thread-safe. The caller serialises the calls on one object; StartExec, and
// calls that say so, may run beside all others. A call that makes something
// leaves nothing behind when it fails. Stop and Remove calls are idempotent:
// one that was cut short is asked again and goes on.
//
// Errors: kInvalidArgument names the field at fault, kFailedPrecondition what
// the host lacks; the rest is kInternal or kResourceExhausted with errno.
//
// Time. A call blocks on the disk and on system calls as long as those take;
// nobody can cut that short. Each call says what else it waits for and how long
// at most. A call with a `deadline` gives those waits up when it is over
// (kDeadlineExceeded) or cancelled (kCancelled, noticed within
// Deadline::kCancelPoll, in a wait for a cgroup within 200 ms). A deadline that
// is over when the call begins still lets the call do all that needs no wait:
// signals are sent. All waits run on the monotonic clock (REL-23).
class Runtime {
 public:
  // Called once for each container that was started or adopted as running,
  // from one of the runtime's own threads, after its last output is in the log
  // and its exit record is read. Several may run at a time, one for each
  // container. Must not call back into Remove/Start directly.
  using ExitCallback =
      std::function<void(const std::string& container_id, const ExitRecord&)>;
  // Called once when the pod init of a pod has ended and no StopSandbox asked
  // for it: the kernel has ended all of the pod's pid namespace. As an
  // ExitCallback; it may come before CreateSandbox has returned.
  using PodInitCallback = std::function<void(const std::string& sandbox_id)>;

  virtual ~Runtime() = default;

  // Do not block.
  virtual Features GetFeatures() const = 0;
  virtual void SetExitCallback(ExitCallback callback) = 0;
  virtual void SetPodInitCallback(PodInitCallback callback) = 0;

  // ---- What is decided once ----

  // Complete a spec with what the operator's options decide where the request
  // does not: the cgroup, the limit of processes. The caller records the result
  // and never resolves it again, so that other options change nothing of what
  // exists. What is set already stays. `process`: of the object, when it is
  // older than such records, so that it shows where it was put; pid 0 for a new
  // one. A container's pod was resolved before. kInvalidArgument names
  // cgroup_parent; any other error: the process could not be looked at, ask
  // again. Wait for nothing.
  virtual absl::Status ResolveSandbox(SandboxSpec* spec,
                                      const base::ProcessId& process) = 0;
  virtual absl::Status ResolveContainer(ContainerSpec* spec,
                                        const base::ProcessId& process) = 0;

  // ---- Pod sandboxes ----
  //
  // The spec of a call was resolved. Stop and Remove of an object that has no
  // record any more get a spec with nothing but its id; where its cgroup is,
  // says a file beside it.

  // Makes and pins the pod's namespaces, /dev/shm and files. Waits for the shim
  // that makes the namespaces, at most 60 s; cannot be cancelled.
  virtual absl::StatusOr<SandboxFacts> CreateSandbox(
      const SandboxSpec& spec) = 0;
  // After a restart, or later: are pins and pod init still what they were?
  // kFailedPrecondition: proven not to be. Any other error: nobody knows, ask
  // again. Waits for nothing.
  virtual absl::Status AdoptSandbox(const SandboxSpec& spec,
                                    const SandboxFacts& facts) = 0;
  // The pod's network namespace, for the netplugin. kFailedPrecondition when
  // it is gone. Waits for nothing.
  virtual absl::StatusOr<base::UniqueFd> OpenSandboxNetns(
      const std::string& sandbox_id) = 0;
  // Ends the pod init, unpins the namespaces, unmounts /dev/shm. Waits for the
  // death of the pod init and of what is in its cgroup, at most 10 s each.
  virtual absl::Status StopSandbox(const SandboxSpec& spec,
                                   const base::Deadline& deadline) = 0;
  // Stop plus all files of the sandbox. Waits as StopSandbox.
  virtual absl::Status RemoveSandbox(const SandboxSpec& spec,
                                     const base::Deadline& deadline) = 0;

  // ---- Containers ----

  // Makes the rootfs, resolves the user, opens every host path. Nothing of the
  // program runs. Copies the content of volumes. Waits for the shim that makes
  // the user namespace of a mount with mappings of its own, at most 60 s for
  // each such pair of mappings; cannot be cancelled.
  virtual absl::StatusOr<ContainerFacts> CreateContainer(
      const ContainerSpec& spec) = 0;
  // After a restart of the agent, for a container in any state: makes it known
  // again. What runs is watched; what was never started is prepared again; what
  // is proven to have lost its shim is killed. Waits for the answer of a shim
  // that facts.start does not name until `deadline`, for the death of what has
  // none; at most 10 s each. An error: nobody knows, nothing was touched, ask
  // again.
  virtual absl::StatusOr<AdoptedContainer> AdoptContainer(
      const ContainerSpec& spec, const ContainerFacts& facts,
      const base::Deadline& deadline) = 0;
  // Returns after execve of the program. Waits for the shim, at most 60 s; a
  // start that was given up is undone, and the container may be started again.
  virtual absl::StatusOr<StartFacts> StartContainer(
      const std::string& container_id, const base::Deadline& deadline) = 0;
  // Limits of a created or running container, changed at once and all or
  // nothing: from what its cgroup has (`from`) to what it shall have (`to`).
  // A limit that only `from` has goes back to the kernel's default, so that
  // an update cut short by a crash can be taken back from the record alone.
  // oom_score_adj is not touched. kInvalidArgument names the field whose value
  // the kernel refuses; kFailedPrecondition also when more is in use than the
  // new limit allows. The kernel may take seconds to reclaim memory below a
  // new limit, and nothing cuts that short: `deadline` is asked once, before
  // anything is written.
  virtual absl::Status UpdateResources(const std::string& container_id,
                                       const Resources& from,
                                       const Resources& to,
                                       const base::Deadline& deadline) = 0;
  // To the first process only. Waits for nothing.
  virtual absl::Status SignalContainer(const std::string& container_id,
                                       int signal) = 0;
  // SIGKILL to every process of its cgroup, whatever pid namespace; what is
  // frozen in it is thawed. Waits for nothing: OK says that the signals were
  // sent. What forked just then needs another call. kFailedPrecondition names a
  // frozen cgroup above the container's (cgroup v1): all dies once that thaws.
  virtual absl::Status KillContainer(const std::string& container_id) = 0;
  // Waits until no process is left in its cgroup, until `deadline`; what still
  // lives is sent SIGKILL again. May run beside all other calls.
  // kFailedPrecondition as KillContainer.
  virtual absl::Status AwaitContainerDeath(const std::string& container_id,
                                           const base::Deadline& deadline) = 0;
  // Kills what runs; removes cgroup, rootfs and run directory. Logs stay. Waits
  // for the death of the processes, then for the shim to drain the output, then
  // for the exit callback; at most 10 s each. A shim that takes longer is
  // killed.
  // kUnavailable, and kDataLoss for damage: nobody can tell where it is, and
  // nothing was touched.
  virtual absl::Status RemoveContainer(const ContainerSpec& spec,
                                       const base::Deadline& deadline) = 0;
  // Closes the log and opens its path anew (create, append). Waits for the
  // shim's answer, at most 10 s; may run beside all other calls.
  virtual absl::Status ReopenLog(const std::string& container_id,
                                 const base::Deadline& deadline) = 0;

  // ---- Exec sessions ----

  // Returns after execve of the program, in the namespaces, the cgroup and with
  // the rights of the container. Waits for the session's shim, at most 60 s; a
  // start that was given up is undone. kFailedPrecondition when the container
  // does not run; the runtime's error when the program cannot be executed.
  virtual absl::StatusOr<std::unique_ptr<ExecProcess>> StartExec(
      const std::string& container_id, ExecSpec spec,
      const base::Deadline& deadline) = 0;

  // ---- What the kernel shows ----

  // Wait for nothing. What ends while it is looked at is left out.
  virtual absl::StatusOr<SandboxView> InspectSandbox(
      const SandboxSpec& spec) = 0;
  virtual absl::StatusOr<ContainerView> InspectContainer(
      const std::string& container_id) = 0;

  // Ids of sandboxes and containers of which kernel objects or files exist
  // below our own directories; for reconcile. Wait for nothing.
  virtual std::vector<std::string> ListSandboxIds() = 0;
  virtual std::vector<std::string> ListContainerIds() = 0;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_RUNTIME_H_
