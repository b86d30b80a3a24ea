#ifndef WARREN_RUNTIME_MACHINE_LIVE_CONTAINER_H_
#define WARREN_RUNTIME_MACHINE_LIVE_CONTAINER_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/deadline.h"
#include "runtime/base/mutex.h"
#include "runtime/base/process.h"
#include "runtime/base/unique_fd.h"
#include "runtime/mounts/sources.h"
#include "runtime/runtime.h"
#include "runtime/seccomp/program_cache.h"

// Containers as this machine has them. The agent's own object, with record and
// operation lock, is agent::Container.
namespace warren::runtime {

// What CreateContainer opened for StartContainer to hand over to the shim.
struct PreparedContainer {
  base::UniqueFd rootfs;  // detached overlay mount
  // The rootfs could not be idmapped: the shim gives its files new owners.
  bool shift_owners = false;
  uint64_t rootfs_propagation = 0;  // MS_PRIVATE, MS_SLAVE or MS_SHARED
  std::vector<OpenedMount> mounts;
};

// One container that was created or adopted in this life of the agent.
// Shared: a call that uses it keeps it alive while another removes it.
struct LiveContainer {
  explicit LiveContainer(ContainerSpec s) : spec(std::move(s)) {}

  // OK once no shim of it is watched any more; else as Deadline::Check().
  absl::Status AwaitExitRead(const base::Deadline& deadline);

  const ContainerSpec spec;

  // Guards what follows. Never held across a launch or a wait for a process.
  base::Mutex mutex;
  User user ABSL_GUARDED_BY(mutex);
  // Null = unconfined; an error after an adoption that did not find it. Then
  // nothing new is started in the container.
  absl::StatusOr<seccomp::ProgramPtr> filter ABSL_GUARDED_BY(mutex) =
      seccomp::ProgramPtr();
  std::vector<DeviceNode> devices ABSL_GUARDED_BY(mutex);
  std::optional<PreparedContainer> prepared ABSL_GUARDED_BY(mutex);
  // A shim is watched: from just before StartContainer returns, or adoption,
  // until its exit was read.
  bool running ABSL_GUARDED_BY(mutex) = false;
  base::Condition ended;  // `running` has become false
  base::ProcessId process ABSL_GUARDED_BY(mutex);
  base::ProcessId shim ABSL_GUARDED_BY(mutex);
  // Of the first process; shared with calls that use it while it ends. Null
  // when it had ended before it could be opened.
  std::shared_ptr<base::UniqueFd> pidfd ABSL_GUARDED_BY(mutex);
};
using LiveContainerPtr = std::shared_ptr<LiveContainer>;

// All of them by id. Thread-safe; no call blocks.
class ContainerTable {
 public:
  // kFailedPrecondition when it was neither created nor adopted.
  absl::StatusOr<LiveContainerPtr> Find(const std::string& id) const;
  // Null instead of an error.
  LiveContainerPtr FindIfThere(const std::string& id) const;
  std::vector<LiveContainerPtr> OfPod(const std::string& sandbox_id) const;

  // Replaces one of the same id.
  void Put(LiveContainerPtr container);
  void Erase(const std::string& id);

 private:
  mutable base::Mutex mutex_;
  std::map<std::string, LiveContainerPtr> containers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MACHINE_LIVE_CONTAINER_H_
