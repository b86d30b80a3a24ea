#ifndef WARREN_RUNTIME_MACHINE_SANDBOXES_H_
#define WARREN_RUNTIME_MACHINE_SANDBOXES_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <map>
#include <string>
#include <vector>

#include "runtime/base/deadline.h"
#include "runtime/base/mutex.h"
#include "runtime/base/process.h"
#include "runtime/base/unique_fd.h"
#include "runtime/launch/exit_watcher.h"
#include "runtime/machine/identity_file.h"
#include "runtime/machine/parts.h"
#include "runtime/runtime.h"

namespace warren::runtime {

// The pod sandboxes of runtime.h: namespaces with their pins, the pod's files,
// the pod init. Each public call is the one of that name there, which says
// what it does, how long it may block and with what it fails. Thread-safe as
// Runtime is.
class Sandboxes {
 public:
  // Both are borrowed. The watcher's threads use this object: they end first.
  Sandboxes(Parts* parts, ExitWatcher* watcher)
      : parts_(*parts), watcher_(*watcher) {}

  void SetPodInitCallback(Runtime::PodInitCallback callback);

  absl::StatusOr<SandboxFacts> Create(const SandboxSpec& spec);
  absl::Status Adopt(const SandboxSpec& spec, const SandboxFacts& facts);
  absl::StatusOr<base::UniqueFd> OpenNetns(const std::string& id) const;
  absl::Status Stop(const SandboxSpec& spec, const base::Deadline& deadline);
  absl::Status Remove(const SandboxSpec& spec, const base::Deadline& deadline);
  std::vector<std::string> ListIds() const;

 private:
  // The last pod, or one that could not be made, takes our own cgroup along.
  void RemoveOwnCgroupAfterTheLast() const;
  // Runs a shim that makes and pins them. The pod init, pid 0 without one.
  absl::StatusOr<base::ProcessId> LaunchNamespaces(const SandboxSpec& spec,
                                                   int pin_dir_fd) const;
  // What is pinned now.
  absl::StatusOr<SandboxFacts> ReadFacts(const SandboxSpec& spec) const;
  // From now on the pod has this pod init, whose end is told. pid 0: it has
  // none. kNotFound: it has ended. One that is kept already stays as it is.
  absl::Status KeepPodInit(const std::string& id,
                           const base::ProcessId& pod_init);
  // On a watcher's thread; also for one that was ended on purpose.
  void OnPodInitExit(const std::string& id, base::UniqueFd pidfd);
  absl::Status StopFound(const std::string& id, const Identity& identity,
                         const base::Deadline& deadline);
  // Also after a restart, when only the cgroup tells which process it is.
  absl::Status EndPodInit(const std::string& id, const CgroupLeaf& leaf,
                          const base::Deadline& deadline);

  Parts& parts_;
  ExitWatcher& watcher_;
  base::Mutex mutex_;
  Runtime::PodInitCallback callback_ ABSL_GUARDED_BY(mutex_);
  // pidfds of the pod inits that nobody is ending.
  std::map<std::string, base::UniqueFd> pod_inits_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MACHINE_SANDBOXES_H_
