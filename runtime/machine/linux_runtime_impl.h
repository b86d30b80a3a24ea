#ifndef WARREN_RUNTIME_MACHINE_LINUX_RUNTIME_IMPL_H_
#define WARREN_RUNTIME_MACHINE_LINUX_RUNTIME_IMPL_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/cgroup/driver.h"
#include "runtime/identity/privileges.h"
#include "runtime/launch/exit_watcher.h"
#include "runtime/launch/output_collector.h"
#include "runtime/launch/request.h"
#include "runtime/launch/seccomp_filter.h"
#include "runtime/launch/shim_client.h"
#include "runtime/machine/linux_runtime.h"
#include "runtime/namespaces/mount_namespaces.h"

// Private to linux_runtime*.cc.
namespace warren::runtime {

// What CreateContainer opened for StartContainer to hand over.
struct PreparedContainer {
  base::UniqueFd rootfs;
  bool shift_owners = false;
  uint64_t rootfs_propagation = 0;
  std::vector<OpenedMount> mounts;
};

enum class Preparation : uint8_t {
  kFirst,  // the container is being created: volumes get their labels
  kAgain   // after a restart or a failed start: the host stays as it is
};

struct Container {
  explicit Container(ContainerSpec s) : spec(std::move(s)) {}

  const ContainerSpec spec;
  std::string cgroup;  // path of its leaf

  // Guards what follows. Never held across a launch or a wait for a process.
  absl::Mutex mutex;
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
  base::ProcessId process ABSL_GUARDED_BY(mutex);
  base::ProcessId shim ABSL_GUARDED_BY(mutex);
  // Of the first process; shared with calls that use it while it ends. Null
  // when it had ended before it could be opened.
  std::shared_ptr<base::UniqueFd> pidfd ABSL_GUARDED_BY(mutex);
};
using ContainerPtr = std::shared_ptr<Container>;

class LinuxRuntime : public Runtime {
 public:
  static absl::StatusOr<std::unique_ptr<LinuxRuntime>> Make(
      const LinuxRuntimeOptions& options);
  ~LinuxRuntime() override = default;

  Features GetFeatures() const override;
  void SetExitCallback(ExitCallback callback) override;

  absl::StatusOr<SandboxFacts> CreateSandbox(const SandboxSpec& spec) override;
  absl::Status AdoptSandbox(const SandboxSpec& spec,
                            const SandboxFacts& facts) override;
  absl::StatusOr<base::UniqueFd> OpenSandboxNetns(
      const std::string& sandbox_id) override;
  absl::Status StopSandbox(const SandboxSpec& spec) override;
  absl::Status RemoveSandbox(const SandboxSpec& spec) override;

  absl::StatusOr<ContainerFacts> CreateContainer(
      const ContainerSpec& spec) override;
  absl::StatusOr<AdoptedContainer> AdoptContainer(
      const ContainerSpec& spec, const ContainerFacts& facts) override;
  absl::StatusOr<StartFacts> StartContainer(
      const std::string& container_id) override;
  absl::Status UpdateResources(const std::string& container_id,
                               const Resources& from,
                               const Resources& to) override;
  absl::Status SignalContainer(const std::string& container_id,
                               int signal) override;
  absl::Status KillContainer(const std::string& container_id) override;
  absl::Status RemoveContainer(const ContainerSpec& spec) override;

  absl::StatusOr<ExecResult> ExecSync(const std::string& container_id,
                                      const ExecRequest& request) override;
  absl::Status ReopenLog(const std::string& container_id) override;

  absl::StatusOr<SandboxView> InspectSandbox(const SandboxSpec& spec) override;
  absl::StatusOr<ContainerView> InspectContainer(
      const std::string& container_id) override;

  std::vector<std::string> ListSandboxIds() override;
  std::vector<std::string> ListContainerIds() override;

 private:
  LinuxRuntime(LinuxRuntimeOptions options, ShimLauncher launcher,
               const Privileges& privileges, const seccomp::Host& host)
      : options_(std::move(options)),
        launcher_(std::move(launcher)),
        privileges_(privileges),
        filters_(host) {}

  // linux_runtime.cc
  absl::StatusOr<ContainerPtr> Find(const std::string& container_id);
  absl::StatusOr<std::string> LeafOf(const SandboxSpec& spec,
                                     const std::string& id) const;
  // What a container asks for plus what the operator wants where it does not.
  Resources WithDefaults(const Resources& resources) const;
  std::string SandboxDir(const std::string& id) const;    // <run>/sandboxes/…
  std::string ContainerDir(const std::string& id) const;  // <run>/containers/…
  std::string RootfsDir(const std::string& id) const;
  std::string MountPointsDir() const;

  // linux_runtime_sandbox.cc
  absl::StatusOr<base::ProcessId> LaunchNamespaces(const SandboxSpec& spec,
                                                   const std::string& leaf,
                                                   int pin_dir_fd);
  absl::StatusOr<SandboxFacts> ReadFacts(const SandboxSpec& spec) const;
  void KeepPodInit(const std::string& id, const base::ProcessId& pod_init);
  // Also after a restart, when only the cgroup tells which process it is.
  absl::Status EndPodInit(const SandboxSpec& spec);

  // linux_runtime_prepare.cc
  // `devices`: what ContainerFacts has.
  absl::StatusOr<PreparedContainer> Prepare(
      const ContainerSpec& spec, const std::vector<DeviceNode>& devices,
      Preparation preparation);
  absl::StatusOr<base::UniqueFd> OpenMountUserNamespace(
      const ContainerSpec& spec, const std::vector<IdMapping>& uids,
      const std::vector<IdMapping>& gids);

  // linux_runtime_container.cc
  // The bounding set it gets.
  uint64_t CapabilitiesOf(const ContainerSpec& spec) const;
  absl::Status KeepFilter(const std::string& container_id,
                          const seccomp::ProgramPtr& filter);
  absl::Status MakeLeaf(const ContainerSpec& spec, const std::string& leaf,
                        const std::vector<DeviceNode>& devices);

  // linux_runtime_start.cc
  absl::StatusOr<LaunchRequest> BuildLaunch(const Container& container,
                                            const User& user,
                                            const seccomp::ProgramPtr& filter,
                                            PreparedContainer prepared);
  absl::StatusOr<std::vector<std::pair<uint64_t, base::UniqueFd>>>
  OpenJoinedNamespaces(const ContainerSpec& spec);
  absl::StatusOr<base::UniqueFd> OpenTargetPidNamespace(
      const std::string& target_id);
  // Takes a running container under watch.
  absl::Status WatchContainer(const ContainerPtr& container,
                              const base::ProcessId& process,
                              const base::ProcessId& shim,
                              base::UniqueFd shim_pidfd);
  void OnShimExit(const ContainerPtr& container, base::UniqueFd shim_pidfd);

  // linux_runtime_container.cc
  absl::Status EndShim(const ContainerSpec& spec, const ContainerPtr& known);

  // linux_runtime_inspect.cc
  NamespaceView ViewOf(NamespaceKind kind, int ns_fd, NamespaceMode mode) const;
  void ViewNamespaces(const SandboxSpec& spec, SandboxView* view) const;
  // First processes of the pod's running containers.
  std::vector<pid_t> ProcessesOfPod(const std::string& sandbox_id);

  const LinuxRuntimeOptions options_;
  const ShimLauncher launcher_;
  const Privileges privileges_;
  seccomp::ProgramCache filters_;
  bool time_namespaces_ = false;
  // Inodes of the agent's own namespaces: what "the host's" means.
  std::array<uint64_t, kNamespaceKinds> host_inodes_ = {};
  base::UniqueFd null_;  // the host's /dev/null
  std::unique_ptr<CgroupDriver> cgroups_;
  MountHost mount_host_;
  std::unique_ptr<MountNamespaces> mount_namespaces_;
  OutputBudget output_budget_;

  absl::Mutex mutex_;
  ExitCallback exit_callback_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, ContainerPtr> containers_ ABSL_GUARDED_BY(mutex_);
  // pidfds of the pod inits.
  std::map<std::string, base::UniqueFd> pod_inits_ ABSL_GUARDED_BY(mutex_);

  // Last: its thread uses all of the above.
  std::unique_ptr<ExitWatcher> watcher_;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MACHINE_LINUX_RUNTIME_IMPL_H_
