#include "runtime/machine/container_start.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/adopted.h"
#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "runtime/base/status.h"
#include "runtime/launch/late_reaper.h"
#include "runtime/launch/log_dir.h"
#include "runtime/launch/request.h"
#include "runtime/machine/container_prepare.h"
#include "runtime/namespaces/table.h"

namespace warren::runtime {
namespace {

absl::StatusOr<base::UniqueFd> OpenTargetPidNamespace(
    Parts* parts, const std::string& target_id) {
  ASSIGN_OR_RETURN(const LiveContainerPtr target,
                   parts->containers.Find(target_id));
  base::ProcessId process;
  std::shared_ptr<base::UniqueFd> pidfd;
  {
    const base::MutexLock lock(&target->mutex);
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
    if (!ended) return ns;
  }
  return absl::FailedPreconditionError(
      absl::StrCat("the target container \"", target_id, "\" is not running"));
}

absl::StatusOr<std::vector<std::pair<uint64_t, base::UniqueFd>>>
OpenJoinedNamespaces(Parts* parts, const ContainerSpec& spec) {
  std::vector<std::pair<uint64_t, base::UniqueFd>> join;
  for (const NamespaceKind kind : JoinedPins(spec, parts->time_namespaces)) {
    ASSIGN_OR_RETURN(base::UniqueFd pin,
                     parts->mount_namespaces->OpenPin(spec.sandbox.id, kind));
    join.emplace_back(InfoOf(kind).clone_flag, std::move(pin));
  }
  if (spec.pid == NamespaceMode::kTarget) {
    ASSIGN_OR_RETURN(base::UniqueFd target,
                     OpenTargetPidNamespace(parts, spec.pid_target));
    join.emplace_back(InfoOf(NamespaceKind::kPid).clone_flag,
                      std::move(target));
  }
  return join;
}

absl::StatusOr<LaunchRequest> BuildLaunch(Parts* parts,
                                          const LiveContainer& container,
                                          const User& user,
                                          const seccomp::ProgramPtr& filter,
                                          PreparedContainer prepared) {
  const ContainerSpec& spec = container.spec;
  ContainerLaunchParts launch;
  launch.spec = &spec;
  launch.user = &user;
  launch.privileges = &parts->privileges;
  launch.filter = filter.get();
  ASSIGN_OR_RETURN(launch.join, OpenJoinedNamespaces(parts, spec));
  launch.template_ns_fd = parts->mount_namespaces->template_ns();
  launch.rootfs = std::move(prepared.rootfs);
  launch.shift_owners = prepared.shift_owners;
  launch.rootfs_propagation = prepared.rootfs_propagation;
  launch.mounts = std::move(prepared.mounts);
  launch.null_fd = parts->mount_namespaces->null();
  ASSIGN_OR_RETURN_IN(launch.placement,
                      parts->cgroups->OpenPlacement(container.spec.cgroup),
                      "cgroup");
  ASSIGN_OR_RETURN_IN(launch.oom_file,
                      parts->cgroups->OpenOomFile(container.spec.cgroup),
                      "cgroup");
  launch.cgroup_v2 = parts->cgroups->IsV2();
  ASSIGN_OR_RETURN(launch.run_dir,
                   base::OpenAt(AT_FDCWD, parts->ContainerDir(spec.id),
                                O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN_IN(LogPlace log,
                      OpenLogPlace(spec.log_directory, spec.log_path), "log");
  launch.log_dir = std::move(log.dir);
  launch.log_name = std::move(log.name);
  launch.log_cpu_percent = parts->options.log_cpu_percent;
  return BuildContainerLaunch(std::move(launch));
}

// What StartLiveContainer takes out of the container under its mutex.
struct Startable {
  User user;
  seccomp::ProgramPtr filter;
  std::vector<DeviceNode> devices;
  std::optional<PreparedContainer> prepared;
};

absl::StatusOr<Startable> TakeStartable(const LiveContainerPtr& container) {
  Startable taken;
  const base::MutexLock lock(&container->mutex);
  if (container->running || container->process.pid != 0) {
    return absl::FailedPreconditionError("the container was started before");
  }
  taken.user = container->user;
  ASSIGN_OR_RETURN(taken.filter, container->filter);
  taken.devices = container->devices;
  taken.prepared = std::move(container->prepared);
  container->prepared.reset();
  return taken;
}

}  // namespace

absl::StatusOr<StartFacts> StartLiveContainer(Parts* parts,
                                              ContainerExits* exits,
                                              const LiveContainerPtr& container,
                                              const base::Deadline& deadline) {
  ASSIGN_OR_RETURN(Startable taken, TakeStartable(container));
  if (!taken.prepared.has_value()) {
    ASSIGN_OR_RETURN(taken.prepared,
                     PrepareContainer(parts, container->spec, taken.devices,
                                      Preparation::kAgain));
  }
  RETURN_IF_ERROR(RefreshMountSources(&taken.prepared->mounts));
  ASSIGN_OR_RETURN(const LaunchRequest request,
                   BuildLaunch(parts, *container, taken.user, taken.filter,
                               *std::move(taken.prepared)));
  ASSIGN_OR_RETURN(Launched launched,
                   parts->launcher.LaunchContainer(request.message,
                                                   request.fds(), deadline));
  StartFacts facts;
  facts.process = launched.process;
  facts.shim = launched.shim.id;
  facts.started_at_ns = launched.started_at_ns;
  const absl::Status watched =
      exits->Watch(container, facts, std::move(launched.shim.pidfd));
  if (!watched.ok()) {
    parts
        ->KillLeaf(container->spec.cgroup,
                   base::Deadline::After(absl::Seconds(2)))
        .IgnoreError();
    // The shim ends once it has seen the end. Its number is nobody else's, as
    // it is unreaped.
    auto shim = base::OpenPidfd(facts.shim.pid);
    if (shim.ok()) {
      ReapLate(*std::move(shim));
    } else {
      base::DisownChild(facts.shim.pid);  // reaped with the next end of another
    }
    return watched;
  }
  return facts;
}

}  // namespace warren::runtime
