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
#include "warren/shim/v1/shim.pb.h"

namespace warren::runtime {

// What the shim left of the container's first process, as a record. The shim
// sees kills for want of memory where the program was started; here all of the
// leaf is looked at too, for a second at the longest.
ExitRecord ExitRecordOf(const Parts& parts, const ContainerSpec& spec,
                        const shim::v1::Exited& exited);

// The end of containers: waits for the shim of each, reads what it left, and
// tells the agent. What hangs in one end holds up no other (ExitWatcher).
// Thread-safe.
class ContainerExits {
 public:
  // `parts` is borrowed. Starts the threads.
  static absl::StatusOr<std::unique_ptr<ContainerExits>> Start(Parts* parts);

  void SetCallback(Runtime::ExitCallback callback);

  // For the ends of other processes; lives as long as this.
  ExitWatcher* watcher() const { return watcher_.get(); }

  // From now on the container runs: `start` is written to it, and its exit is
  // reported once. `shim_pidfd` is of start.shim. An error: nobody watches it,
  // and it may run on.
  absl::Status Watch(const LiveContainerPtr& container, const StartFacts& start,
                     base::UniqueFd shim_pidfd);

 private:
  explicit ContainerExits(Parts* parts) : parts_(*parts) {}
  // On a watcher's thread; waits for no process. When nobody can tell how it
  // ended, for want of descriptors or memory, it comes back `retries` times,
  // and gives the exit code up only then.
  void OnShimExit(const LiveContainerPtr& container, base::UniqueFd shim_pidfd,
                  int retries);
  // Reports the end, now or once the first process has ended. An error: nobody
  // can tell yet, and nothing was reported.
  absl::Status Tell(const LiveContainerPtr& container);
  // Has `record` reported once the first process has ended; false when it is
  // known to have ended.
  absl::StatusOr<bool> AwaitFirst(const LiveContainerPtr& container,
                                  const ExitRecord& record);
  void Report(const LiveContainerPtr& container, const ExitRecord& record);
  static void MarkEnded(LiveContainer& container);

  Parts& parts_;
  base::Mutex mutex_;
  Runtime::ExitCallback callback_ ABSL_GUARDED_BY(mutex_);
  // Last: its threads use all of the above.
  std::unique_ptr<ExitWatcher> watcher_;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MACHINE_CONTAINER_EXITS_H_
