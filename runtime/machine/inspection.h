#ifndef WARREN_RUNTIME_MACHINE_INSPECTION_H_
#define WARREN_RUNTIME_MACHINE_INSPECTION_H_

#include <absl/status/statusor.h>

#include <string>

#include "runtime/machine/parts.h"
#include "runtime/runtime.h"

namespace warren::runtime {

// What the kernel shows of pods and containers now: Runtime::InspectSandbox
// and InspectContainer. Reads procfs, pins and cgroups and changes nothing.
// What ends while it is looked at is left out. Thread-safe.
class Inspection {
 public:
  // `parts` is borrowed.
  explicit Inspection(const Parts* parts) : parts_(*parts) {}

  absl::StatusOr<SandboxView> Sandbox(const SandboxSpec& spec) const;
  absl::StatusOr<ContainerView> Container(const std::string& id) const;

 private:
  NamespaceView ViewOf(NamespaceKind kind, int ns_fd, NamespaceMode mode) const;
  void ViewNamespaces(const SandboxSpec& spec, SandboxView* view) const;
  // First processes of the pod's running containers.
  std::vector<pid_t> ProcessesOfPod(const std::string& sandbox_id) const;

  const Parts& parts_;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MACHINE_INSPECTION_H_
