#ifndef WARREN_RUNTIME_MACHINE_CONTAINER_EXITS_H_
#define WARREN_RUNTIME_MACHINE_CONTAINER_EXITS_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <memory>

#include "runtime/base/mutex.h"
#include "runtime/base/unique_fd.h"
#include "runtime/launch/exit_watcher.h"
#include "runtime/machine/parts.h"
#include "runtime/runtime.h"

namespace warren::runtime {

// The end of containers: waits for the shim of each on one thread, reads what
// it left, and tells the agent. Thread-safe.
class ContainerExits {
 public:
  // `parts` is borrowed. Starts the thread.
  static absl::StatusOr<std::unique_ptr<ContainerExits>> Start(Parts* parts);

  void SetCallback(Runtime::ExitCallback callback);

  // From now on the container runs: `start` is written to it, and its exit is
  // reported once. `shim_pidfd` is of start.shim.
  absl::Status Watch(const LiveContainerPtr& container, const StartFacts& start,
                     base::UniqueFd shim_pidfd);

 private:
  explicit ContainerExits(Parts* parts) : parts_(*parts) {}
  // On the watcher's thread. Waits one second at most, for the first process
  // of a container whose shim was killed.
  void OnShimExit(const LiveContainerPtr& container, base::UniqueFd shim_pidfd);

  Parts& parts_;
  base::Mutex mutex_;
  Runtime::ExitCallback callback_ ABSL_GUARDED_BY(mutex_);
  // Last: its thread uses all of the above.
  std::unique_ptr<ExitWatcher> watcher_;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MACHINE_CONTAINER_EXITS_H_
