#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "runtime/base/adopted.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "runtime/base/status.h"
#include "runtime/base/undo_stack.h"
#include "runtime/devices/devices.h"
#include "runtime/devices/rules.h"
#include "runtime/identity/id_map.h"
#include "runtime/identity/user_lookup.h"
#include "runtime/launch/log_dir.h"
#include "runtime/machine/linux_runtime_impl.h"
#include "runtime/namespaces/table.h"
#include "runtime/rootfs/rootfs.h"

namespace warren::runtime {
namespace {

absl::Status Check(const ContainerSpec& spec) {
  if (spec.id.empty() || spec.id.find('/') != std::string::npos) {
    return absl::InvalidArgumentError("id: not the id of a container");
  }
  if (spec.args.empty() || spec.args[0].empty()) {
    return absl::InvalidArgumentError("command: there is none");
  }
  return CheckLogPath(spec.log_directory, spec.log_path);
}

// An id that the pod's user namespace does not have cannot be anyone's.
absl::Status CheckMapped(const SandboxSpec& spec, const User& user) {
  const bool uid = ToHostId(spec.uid_mappings, user.uid).has_value();
  const bool gid = ToHostId(spec.gid_mappings, user.gid).has_value();
  if (!uid || !gid) {
    return absl::InvalidArgumentError(
        absl::StrCat(uid ? "gid " : "uid ", uid ? user.gid : user.uid,
                     " is not mapped in the pod's user namespace"));
  }
  for (const uint32_t group : user.groups) {
    if (!ToHostId(spec.gid_mappings, group).has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "group ", group, " is not mapped in the pod's user namespace"));
    }
  }
  return absl::OkStatus();
}

absl::Status MakeDir(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0) {
    return base::ErrnoError(errno, absl::StrCat("mkdir ", path));
  }
  return absl::OkStatus();
}

// A shim that answers, and what it says of its container.
struct LiveShim {
  StartFacts start;
  base::UniqueFd pidfd;
};

std::optional<LiveShim> FindShim(int run_dir_fd) {
  auto connection = ShimConnection::Connect(run_dir_fd);
  if (!connection.ok()) return std::nullopt;
  auto process = connection->Query();
  auto pidfd = base::OpenProcess(connection->shim());
  if (!process.ok() || !pidfd.ok()) return std::nullopt;
  LiveShim shim;
  shim.start.process = {process->pid(), process->start_time()};
  shim.start.shim = connection->shim();
  shim.start.started_at_ns = process->started_at_ns();
  shim.pidfd = *std::move(pidfd);
  return shim;
}

}  // namespace

uint64_t LinuxRuntime::CapabilitiesOf(const ContainerSpec& spec) const {
  return privileges_.ClampCapabilities(spec.capabilities,
                                       HasUserNamespace(spec.sandbox));
}

absl::Status LinuxRuntime::KeepFilter(const std::string& container_id,
                                      const seccomp::ProgramPtr& filter) {
  ASSIGN_OR_RETURN(const base::UniqueFd dir,
                   base::OpenAt(AT_FDCWD, ContainerDir(container_id),
                                O_RDONLY | O_DIRECTORY));
  return SaveFilter(dir.get(), filter);
}

absl::Status LinuxRuntime::MakeLeaf(const ContainerSpec& spec,
                                    const std::string& leaf,
                                    const std::vector<DeviceNode>& devices) {
  std::optional<DeviceRules> rules;
  if (!spec.privileged) rules = RulesFor(devices);
  return cgroups_->Create(leaf, WithDefaults(spec.resources), rules);
}

absl::StatusOr<ContainerFacts> LinuxRuntime::CreateContainer(
    const ContainerSpec& spec) {
  RETURN_IF_ERROR(Check(spec));
  ASSIGN_OR_RETURN(seccomp::ProgramPtr filter,
                   MakeFilter(spec.seccomp, CapabilitiesOf(spec), &filters_));
  auto container = std::make_shared<Container>(spec);
  ASSIGN_OR_RETURN(container->cgroup, LeafOf(spec.sandbox, spec.id));
  const std::string state =
      absl::StrCat(options_.state_dir, "/containers/", spec.id);
  base::UndoStack undo;
  RETURN_IF_ERROR(MakeDir(ContainerDir(spec.id)));
  undo.Push("remove run directory",
            [&] { return base::RemoveTree(AT_FDCWD, ContainerDir(spec.id)); });
  // The agent's record may have made it already.
  if (mkdir(state.c_str(), 0700) != 0 && errno != EEXIST) {
    return base::ErrnoError(errno, absl::StrCat("mkdir ", state));
  }
  undo.Push("remove rootfs", [&] {
    const absl::Status removed = RemoveRootfs(RootfsDir(spec.id));
    rmdir(state.c_str());
    return removed;
  });
  RETURN_IF_ERROR_IN(KeepFilter(spec.id, filter), "keep the seccomp filter");
  ContainerFacts facts;
  ASSIGN_OR_RETURN(facts.devices, ResolveDevices(spec.devices, spec.sandbox));
  ASSIGN_OR_RETURN(PreparedContainer prepared,
                   Prepare(spec, facts.devices, Preparation::kFirst));
  ASSIGN_OR_RETURN(facts.user, LookUpUser(spec.user, prepared.rootfs.get()));
  RETURN_IF_ERROR(CheckMapped(spec.sandbox, facts.user));
  RETURN_IF_ERROR_IN(MakeLeaf(spec, container->cgroup, facts.devices),
                     "make the container's cgroup");
  {
    absl::MutexLock lock(&container->mutex);
    container->user = facts.user;
    container->filter = std::move(filter);
    container->devices = facts.devices;
    container->prepared = std::move(prepared);
  }
  absl::MutexLock lock(&mutex_);
  containers_[spec.id] = std::move(container);
  undo.Release();
  return facts;
}

absl::StatusOr<AdoptedContainer> LinuxRuntime::AdoptContainer(
    const ContainerSpec& spec, const ContainerFacts& facts) {
  auto container = std::make_shared<Container>(spec);
  ASSIGN_OR_RETURN(container->cgroup, LeafOf(spec.sandbox, spec.id));
  {
    absl::MutexLock lock(&container->mutex);
    container->user = facts.user;
    if (spec.seccomp.mode != SeccompMode::kUnconfined) {
      container->filter =
          absl::DataLossError("the container's seccomp filter is gone");
    }
    container->devices = facts.devices;
  }
  {
    absl::MutexLock lock(&mutex_);
    containers_[spec.id] = container;
  }
  AdoptedContainer adopted;
  auto dir =
      base::OpenAt(AT_FDCWD, ContainerDir(spec.id), O_RDONLY | O_DIRECTORY);
  if (!dir.ok()) return adopted;  // e.g. after a reboot
  {
    auto filter =
        LoadFilter(dir->get(), spec.seccomp, CapabilitiesOf(spec), &filters_);
    absl::MutexLock lock(&container->mutex);
    container->filter = std::move(filter);
  }
  // Asked before the exit file is looked for: a shim that leaves in between
  // has written it.
  if (std::optional<LiveShim> shim = FindShim(dir->get()); shim.has_value()) {
    adopted.liveness = ContainerLiveness::kRunning;
    adopted.start = shim->start;
    RETURN_IF_ERROR(WatchContainer(container, shim->start.process,
                                   shim->start.shim, std::move(shim->pidfd)));
    return adopted;
  }
  ASSIGN_OR_RETURN(const auto exited, ReadExitFile(dir->get()));
  if (exited.has_value()) {
    adopted.liveness = ContainerLiveness::kExited;
    adopted.exit = {exited->exit_code(), exited->signal(), exited->oom_killed(),
                    exited->finished_at_ns()};
    return adopted;
  }
  // No shim and no exit file: never started, or the shim was killed. What it
  // may have left behind has nobody to read its output or tell its end.
  const std::string& leaf = container->cgroup;
  RETURN_IF_ERROR(cgroups_->KillAll(leaf, absl::Seconds(10)));
  const bool started =
      faccessat(dir->get(), "shim.sock", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  if (!started) {
    RETURN_IF_ERROR(cgroups_->Delete(leaf));
    RETURN_IF_ERROR(MakeLeaf(spec, leaf, facts.devices));
    auto prepared = Prepare(spec, facts.devices, Preparation::kAgain);
    absl::MutexLock lock(&container->mutex);
    // On failure StartContainer tries again and says why.
    if (prepared.ok()) container->prepared = *std::move(prepared);
  }
  return adopted;
}

absl::Status LinuxRuntime::UpdateResources(const std::string& container_id,
                                           const Resources& from,
                                           const Resources& to) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(container_id));
  return cgroups_->Update(container->cgroup, WithDefaults(from),
                          WithDefaults(to));
}

absl::Status LinuxRuntime::SignalContainer(const std::string& container_id,
                                           int signal) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(container_id));
  std::shared_ptr<base::UniqueFd> pidfd;
  {
    absl::MutexLock lock(&container->mutex);
    if (!container->running) {
      return absl::FailedPreconditionError("the container is not running");
    }
    pidfd = container->pidfd;
  }
  if (pidfd == nullptr) return absl::OkStatus();  // it has ended
  return base::SendSignal(pidfd->get(), signal);
}

absl::Status LinuxRuntime::KillContainer(const std::string& container_id) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(container_id));
  const absl::Status killed =
      cgroups_->KillAll(container->cgroup, absl::Seconds(2));
  base::ReapAdopted();
  return base::Annotate(killed, "kill container");
}

absl::Status LinuxRuntime::EndShim(const ContainerSpec& spec,
                                   const ContainerPtr& known) {
  constexpr absl::Duration kPatience = absl::Seconds(10);
  base::ProcessId shim;
  if (known != nullptr) {
    absl::MutexLock lock(&known->mutex);
    if (known->running) shim = known->shim;
  } else {
    auto dir =
        base::OpenAt(AT_FDCWD, ContainerDir(spec.id), O_RDONLY | O_DIRECTORY);
    if (!dir.ok()) return absl::OkStatus();
    auto connection = ShimConnection::Connect(dir->get());
    if (connection.ok()) shim = connection->shim();
  }
  if (shim.pid == 0) return absl::OkStatus();
  auto pidfd = base::OpenProcess(shim);
  if (pidfd.ok()) {
    // It drains the output and writes the exit file first.
    ASSIGN_OR_RETURN(bool gone, base::WaitExit(pidfd->get(), kPatience));
    if (!gone) {
      RETURN_IF_ERROR(base::SendSignal(pidfd->get(), SIGKILL));
      ASSIGN_OR_RETURN(gone, base::WaitExit(pidfd->get(), kPatience));
    }
    if (!gone) return absl::DeadlineExceededError("the shim does not die");
  }
  if (known == nullptr) return absl::OkStatus();
  // The watcher reads the exit file, which goes with the run directory.
  const auto done = [&known] {
    known->mutex.AssertHeld();
    return !known->running;
  };
  absl::MutexLock lock(&known->mutex);
  known->mutex.AwaitWithTimeout(absl::Condition(&done), kPatience);
  return absl::OkStatus();
}

absl::Status LinuxRuntime::RemoveContainer(const ContainerSpec& spec) {
  ASSIGN_OR_RETURN(const std::string leaf, LeafOf(spec.sandbox, spec.id));
  ContainerPtr known;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = containers_.find(spec.id);
    if (it != containers_.end()) known = it->second;
  }
  if (known != nullptr) {
    absl::MutexLock lock(&known->mutex);
    known->prepared.reset();
  }
  RETURN_IF_ERROR_IN(cgroups_->KillAll(leaf, absl::Seconds(10)),
                     "kill the container's processes");
  RETURN_IF_ERROR(EndShim(spec, known));
  base::ReapAdopted();
  RETURN_IF_ERROR_IN(cgroups_->Delete(leaf), "remove the container's cgroup");
  RETURN_IF_ERROR_IN(RemoveRootfs(RootfsDir(spec.id)), "remove the rootfs");
  // Goes with the agent's record if that is still there.
  rmdir(absl::StrCat(options_.state_dir, "/containers/", spec.id).c_str());
  RETURN_IF_ERROR_IN(base::RemoveTree(AT_FDCWD, ContainerDir(spec.id)),
                     "remove the run directory");
  absl::MutexLock lock(&mutex_);
  containers_.erase(spec.id);
  return absl::OkStatus();
}

absl::Status LinuxRuntime::ReopenLog(const std::string& container_id) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(container_id));
  {
    absl::MutexLock lock(&container->mutex);
    if (!container->running) {
      return absl::FailedPreconditionError("the container is not running");
    }
  }
  ASSIGN_OR_RETURN(const base::UniqueFd dir,
                   base::OpenAt(AT_FDCWD, ContainerDir(container_id),
                                O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(
      const LogPlace place,
      OpenLogPlace(container->spec.log_directory, container->spec.log_path));
  ASSIGN_OR_RETURN(ShimConnection connection,
                   ShimConnection::Connect(dir.get()));
  return connection.ReopenLog(place.dir.get());
}

}  // namespace warren::runtime
