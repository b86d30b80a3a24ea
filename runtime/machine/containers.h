#ifndef WARREN_RUNTIME_MACHINE_CONTAINERS_H_
#define WARREN_RUNTIME_MACHINE_CONTAINERS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/deadline.h"
#include "runtime/machine/container_exits.h"
#include "runtime/machine/parts.h"
#include "runtime/runtime.h"

namespace warren::runtime {

// The containers of runtime.h, from CreateContainer to RemoveContainer. Each
// call is the one of that name there, which says what it does, how long it may
// block and with what it fails. Thread-safe as Runtime is.
class Containers {
 public:
  // `parts` is borrowed.
  Containers(Parts* parts, std::unique_ptr<ContainerExits> exits)
      : parts_(*parts), exits_(std::move(exits)) {}

  void SetExitCallback(Runtime::ExitCallback callback) {
    exits_->SetCallback(std::move(callback));
  }

  absl::StatusOr<ContainerFacts> Create(const ContainerSpec& spec);
  absl::StatusOr<AdoptedContainer> Adopt(const ContainerSpec& spec,
                                         const ContainerFacts& facts,
                                         const base::Deadline& deadline);
  absl::StatusOr<StartFacts> Start(const std::string& id,
                                   const base::Deadline& deadline);
  absl::Status UpdateResources(const std::string& id, const Resources& from,
                               const Resources& to);
  absl::Status Signal(const std::string& id, int signal);
  absl::Status Kill(const std::string& id);
  absl::Status AwaitDeath(const std::string& id,
                          const base::Deadline& deadline);
  absl::Status Remove(const ContainerSpec& spec,
                      const base::Deadline& deadline);
  absl::Status ReopenLog(const std::string& id, const base::Deadline& deadline);
  std::vector<std::string> ListIds() const;

 private:
  absl::Status KeepFilter(const std::string& id,
                          const seccomp::ProgramPtr& filter) const;
  absl::Status MakeLeaf(const ContainerSpec& spec,
                        const std::vector<DeviceNode>& devices) const;
  // Of one that is proven to have neither a shim nor an exit record.
  absl::Status AdoptWithoutShim(const LiveContainerPtr& container,
                                const ContainerFacts& facts, int run_dir_fd,
                                const base::Deadline& deadline);
  // Waits for the shim of a container whose processes were killed, and for the
  // watcher to have read what it left. `live` may be null: then the shim is
  // looked for by its socket.
  absl::Status EndShim(const ContainerSpec& spec, const LiveContainerPtr& live,
                       const base::Deadline& deadline) const;

  Parts& parts_;
  const std::unique_ptr<ContainerExits> exits_;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MACHINE_CONTAINERS_H_
