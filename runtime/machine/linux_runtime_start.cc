#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/adopted.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "runtime/base/status.h"
#include "runtime/launch/log_dir.h"
#include "runtime/machine/linux_runtime_impl.h"
#include "runtime/namespaces/table.h"

namespace warren::runtime {

absl::StatusOr<base::UniqueFd> LinuxRuntime::OpenTargetPidNamespace(
    const std::string& target_id) {
  ASSIGN_OR_RETURN(const ContainerPtr target, Find(target_id));
  base::ProcessId process;
  std::shared_ptr<base::UniqueFd> pidfd;
  {
    absl::MutexLock lock(&target->mutex);
    if (target->running) {
      process = target->process;
      pidfd = target->pidfd;
    }
  }
  if (pidfd != nullptr) {
    auto ns = base::OpenAt(
        AT_FDCWD, absl::StrCat("/proc/", process.pid, "/ns/pid"), O_RDONLY);
    // Still there after the open: the number was its own all the time.
    ASSIGN_OR_RETURN(const bool ended,
                     base::WaitExit(pidfd->get(), absl::ZeroDuration()));
    if (ns.ok() && !ended) return ns;
  }
  return absl::FailedPreconditionError(
      absl::StrCat("the target container \"", target_id, "\" is not running"));
}

absl::StatusOr<std::vector<std::pair<uint64_t, base::UniqueFd>>>
LinuxRuntime::OpenJoinedNamespaces(const ContainerSpec& spec) {
  std::vector<std::pair<uint64_t, base::UniqueFd>> join;
  for (const NamespaceKind kind : JoinedPins(spec, time_namespaces_)) {
    ASSIGN_OR_RETURN(base::UniqueFd pin,
                     mount_namespaces_->OpenPin(spec.sandbox.id, kind));
    join.emplace_back(InfoOf(kind).clone_flag, std::move(pin));
  }
  if (spec.pid == NamespaceMode::kTarget) {
    ASSIGN_OR_RETURN(base::UniqueFd target,
                     OpenTargetPidNamespace(spec.pid_target));
    join.emplace_back(InfoOf(NamespaceKind::kPid).clone_flag,
                      std::move(target));
  }
  return join;
}

absl::StatusOr<LaunchRequest> LinuxRuntime::BuildLaunch(
    const Container& container, const User& user,
    const seccomp::ProgramPtr& filter, PreparedContainer prepared) {
  const ContainerSpec& spec = container.spec;
  ContainerLaunchParts parts;
  parts.spec = &spec;
  parts.user = &user;
  parts.privileges = &privileges_;
  parts.filter = filter.get();
  ASSIGN_OR_RETURN(parts.join, OpenJoinedNamespaces(spec));
  parts.template_ns_fd = mount_namespaces_->template_ns();
  parts.rootfs = std::move(prepared.rootfs);
  parts.shift_owners = prepared.shift_owners;
  parts.rootfs_propagation = prepared.rootfs_propagation;
  parts.mounts = std::move(prepared.mounts);
  parts.null_fd = null_.get();
  ASSIGN_OR_RETURN_IN(parts.placement,
                      cgroups_->OpenPlacement(container.cgroup), "cgroup");
  ASSIGN_OR_RETURN_IN(parts.oom_file, cgroups_->OpenOomFile(container.cgroup),
                      "cgroup");
  parts.cgroup_v2 = cgroups_->IsV2();
  ASSIGN_OR_RETURN(parts.run_dir, base::OpenAt(AT_FDCWD, ContainerDir(spec.id),
                                               O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN_IN(LogPlace log,
                      OpenLogPlace(spec.log_directory, spec.log_path), "log");
  parts.log_dir = std::move(log.dir);
  parts.log_name = std::move(log.name);
  return BuildContainerLaunch(std::move(parts));
}

absl::StatusOr<StartFacts> LinuxRuntime::StartContainer(
    const std::string& container_id) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(container_id));
  User user;
  seccomp::ProgramPtr filter;
  std::vector<DeviceNode> devices;
  std::optional<PreparedContainer> prepared;
  {
    absl::MutexLock lock(&container->mutex);
    if (container->running || container->process.pid != 0) {
      return absl::FailedPreconditionError("the container was started before");
    }
    user = container->user;
    ASSIGN_OR_RETURN(filter, container->filter);
    devices = container->devices;
    prepared = std::move(container->prepared);
    container->prepared.reset();
  }
  if (!prepared.has_value()) {
    ASSIGN_OR_RETURN(prepared,
                     Prepare(container->spec, devices, Preparation::kAgain));
  }
  RETURN_IF_ERROR(RefreshMountSources(&prepared->mounts));
  ASSIGN_OR_RETURN(const LaunchRequest request,
                   BuildLaunch(*container, user, filter, *std::move(prepared)));
  ASSIGN_OR_RETURN(Launched launched,
                   launcher_.LaunchContainer(request.message, request.fds()));
  StartFacts facts;
  facts.process = launched.process;
  facts.shim = launched.shim.id;
  facts.started_at_ns = launched.started_at_ns;
  const absl::Status watched =
      WatchContainer(container, launched.process, launched.shim.id,
                     std::move(launched.shim.pidfd));
  if (!watched.ok()) {
    cgroups_->KillAll(container->cgroup, absl::Seconds(2)).IgnoreError();
    return watched;
  }
  return facts;
}

absl::Status LinuxRuntime::WatchContainer(const ContainerPtr& container,
                                          const base::ProcessId& process,
                                          const base::ProcessId& shim,
                                          base::UniqueFd shim_pidfd) {
  auto pidfd = base::OpenProcess(process);
  {
    absl::MutexLock lock(&container->mutex);
    container->running = true;
    container->process = process;
    container->shim = shim;
    if (pidfd.ok()) {
      container->pidfd = std::make_shared<base::UniqueFd>(*std::move(pidfd));
    }
  }
  return watcher_->Watch(std::move(shim_pidfd),
                         [this, container](base::UniqueFd ended) {
                           OnShimExit(container, std::move(ended));
                         });
}

void LinuxRuntime::OnShimExit(const ContainerPtr& container,
                              base::UniqueFd shim_pidfd) {
  // Not a child after a restart of the agent.
  base::Reap(shim_pidfd.get()).IgnoreError();
  ExitRecord record;
  record.finished_at_ns = base::SystemClock().RealNow();
  absl::StatusOr<std::optional<shim::v1::Exited>> exited =
      absl::UnknownError("");
  auto dir = base::OpenAt(AT_FDCWD, ContainerDir(container->spec.id),
                          O_RDONLY | O_DIRECTORY);
  if (dir.ok()) exited = ReadExitFile(dir->get());
  const bool lost = !exited.ok() || !exited->has_value();
  record.lost = lost;
  if (!lost) {
    record = {(*exited)->exit_code(), (*exited)->signal(),
              (*exited)->oom_killed(), (*exited)->finished_at_ns()};
  }
  // With a pid namespace of its own, everything ended with its first process.
  // Otherwise, and when the shim itself was killed, something may be left.
  if (lost || container->spec.pid != NamespaceMode::kContainer) {
    cgroups_->KillAll(container->cgroup, absl::ZeroDuration()).IgnoreError();
  }
  {
    absl::MutexLock lock(&container->mutex);
    // A lost shim's container is now a child of ours.
    if (lost && container->pidfd != nullptr &&
        base::WaitExit(container->pidfd->get(), absl::Seconds(1))
            .value_or(false)) {
      base::Reap(container->pidfd->get()).IgnoreError();
    }
    container->pidfd.reset();
    container->running = false;
  }
  base::ReapAdopted();
  ExitCallback callback;
  {
    absl::MutexLock lock(&mutex_);
    callback = exit_callback_;
  }
  if (callback) callback(container->spec.id, record);
}

}  // namespace warren::runtime
