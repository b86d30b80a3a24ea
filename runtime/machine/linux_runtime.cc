#include "runtime/machine/linux_runtime.h"

#include <fcntl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/machine/container_exits.h"
#include "runtime/machine/containers.h"
#include "runtime/machine/exec_sessions.h"
#include "runtime/machine/inspection.h"
#include "runtime/machine/parts.h"
#include "runtime/machine/resolve.h"
#include "runtime/machine/sandboxes.h"

namespace warren::runtime {
namespace {

bool HasDigits(absl::string_view text) {
  return !text.empty() && text != "0\n" && text[0] >= '0' && text[0] <= '9';
}

// Hands each call to the concept that it belongs to.
class LinuxRuntime : public Runtime {
 public:
  LinuxRuntime(std::unique_ptr<Parts> parts,
               std::unique_ptr<ContainerExits> exits)
      : parts_(std::move(parts)),
        sandboxes_(parts_.get(), exits->watcher()),
        execs_(parts_.get()),
        inspection_(parts_.get()),
        containers_(parts_.get(), std::move(exits)) {}

  Features GetFeatures() const override;
  void SetExitCallback(ExitCallback callback) override {
    containers_.SetExitCallback(std::move(callback));
  }
  void SetPodInitCallback(PodInitCallback callback) override {
    sandboxes_.SetPodInitCallback(std::move(callback));
  }

  absl::Status ResolveSandbox(SandboxSpec* spec,
                              const base::ProcessId& process) override {
    return ResolveSandboxSpec(*parts_, process, spec);
  }
  absl::Status ResolveContainer(ContainerSpec* spec,
                                const base::ProcessId& process) override {
    return ResolveContainerSpec(*parts_, process, spec);
  }

  absl::StatusOr<SandboxFacts> CreateSandbox(const SandboxSpec& spec) override {
    return sandboxes_.Create(spec);
  }
  absl::Status AdoptSandbox(const SandboxSpec& spec,
                            const SandboxFacts& facts) override {
    return sandboxes_.Adopt(spec, facts);
  }
  absl::StatusOr<base::UniqueFd> OpenSandboxNetns(
      const std::string& id) override {
    return sandboxes_.OpenNetns(id);
  }
  absl::Status StopSandbox(const SandboxSpec& spec,
                           const base::Deadline& deadline) override {
    return sandboxes_.Stop(spec, deadline);
  }
  absl::Status RemoveSandbox(const SandboxSpec& spec,
                             const base::Deadline& deadline) override {
    return sandboxes_.Remove(spec, deadline);
  }

  absl::StatusOr<ContainerFacts> CreateContainer(
      const ContainerSpec& spec) override {
    return containers_.Create(spec);
  }
  absl::StatusOr<AdoptedContainer> AdoptContainer(
      const ContainerSpec& spec, const ContainerFacts& facts,
      const base::Deadline& deadline) override {
    return containers_.Adopt(spec, facts, deadline);
  }
  absl::StatusOr<StartFacts> StartContainer(
      const std::string& id, const base::Deadline& deadline) override {
    return containers_.Start(id, deadline);
  }
  absl::Status UpdateResources(const std::string& id, const Resources& from,
                               const Resources& to,
                               const base::Deadline& deadline) override {
    RETURN_IF_ERROR(deadline.Check());
    return containers_.UpdateResources(id, from, to);
  }
  absl::Status SignalContainer(const std::string& id, int signal) override {
    return containers_.Signal(id, signal);
  }
  absl::Status KillContainer(const std::string& id) override {
    return containers_.Kill(id);
  }
  absl::Status AwaitContainerDeath(const std::string& id,
                                   const base::Deadline& deadline) override {
    return containers_.AwaitDeath(id, deadline);
  }
  absl::Status RemoveContainer(const ContainerSpec& spec,
                               const base::Deadline& deadline) override {
    return containers_.Remove(spec, deadline);
  }
  absl::Status ReopenLog(const std::string& id,
                         const base::Deadline& deadline) override {
    return containers_.ReopenLog(id, deadline);
  }

  absl::StatusOr<std::unique_ptr<ExecProcess>> StartExec(
      const std::string& id, ExecSpec spec,
      const base::Deadline& deadline) override {
    return execs_.Start(id, std::move(spec), deadline);
  }

  absl::StatusOr<SandboxView> InspectSandbox(const SandboxSpec& spec) override {
    return inspection_.Sandbox(spec);
  }
  absl::StatusOr<ContainerView> InspectContainer(
      const std::string& id) override {
    return inspection_.Container(id);
  }
  std::vector<std::string> ListSandboxIds() override {
    return sandboxes_.ListIds();
  }
  std::vector<std::string> ListContainerIds() override {
    return containers_.ListIds();
  }

 private:
  const std::unique_ptr<Parts> parts_;
  Sandboxes sandboxes_;
  ExecSessions execs_;
  Inspection inspection_;
  // Last: the threads that report ends use all of the above.
  Containers containers_;
};

Features LinuxRuntime::GetFeatures() const {
  Features features;
  // Where the kernel cannot idmap a rootfs its files get new owners instead.
  const auto limit =
      base::ReadFileAt(AT_FDCWD, "/proc/sys/user/max_user_namespaces");
  features.user_namespaces =
      parts_->host_inodes[static_cast<size_t>(NamespaceKind::kUser)] != 0 &&
      limit.ok() && HasDigits(*limit);
  features.recursive_read_only = parts_->mount_host.recursive_readonly;
  features.time_namespaces = parts_->time_namespaces;
  features.cgroup_v2 = parts_->cgroups->IsV2();
  features.degraded = parts_->privileges.Missing();
  return features;
}

absl::StatusOr<std::unique_ptr<Runtime>> MakeRuntime(
    const LinuxRuntimeOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<Parts> parts, Parts::Make(options));
  ASSIGN_OR_RETURN(std::unique_ptr<ContainerExits> exits,
                   ContainerExits::Start(parts.get()));
  return std::make_unique<LinuxRuntime>(std::move(parts), std::move(exits));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Runtime>> MakeLinuxRuntime(
    const LinuxRuntimeOptions& options) {
  auto runtime = MakeRuntime(options);
  if (!runtime.ok()) return base::Annotate(runtime.status(), "runtime");
  return runtime;
}

}  // namespace warren::runtime
