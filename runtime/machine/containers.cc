#include "runtime/machine/containers.h"

#include <absl/strings/str_cat.h>
#include <absl/time/time.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "runtime/base/adopted.h"
#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/process.h"
#include "runtime/base/status.h"
#include "runtime/base/undo_stack.h"
#include "runtime/devices/devices.h"
#include "runtime/devices/rules.h"
#include "runtime/identity/id_map.h"
#include "runtime/identity/user_lookup.h"
#include "runtime/launch/log_dir.h"
#include "runtime/launch/seccomp_filter.h"
#include "runtime/machine/container_prepare.h"
#include "runtime/machine/container_start.h"
#include "runtime/machine/find_shim.h"
#include "runtime/machine/identity_file.h"
#include "runtime/machine/resolve.h"
#include "runtime/namespaces/table.h"
#include "runtime/rootfs/rootfs.h"

namespace warren::runtime {
namespace {

// For what was sent SIGKILL, and for a shim that drains a container's output;
// Runtime::RemoveContainer names it.
constexpr absl::Duration kKillPatience = absl::Seconds(10);

absl::Status CheckContainerSpec(const ContainerSpec& spec) {
  if (spec.id.empty() || spec.id.find('/') != std::string::npos) {
    return absl::InvalidArgumentError("id: not the id of a container");
  }
  if (spec.args.empty() || spec.args[0].empty()) {
    return absl::InvalidArgumentError("command: there is none");
  }
  if (spec.cgroup.path.empty()) {
    return absl::InternalError("the container's spec was not resolved");
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

absl::Status MakePrivateDir(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0) {
    return base::ErrnoError(errno, absl::StrCat("mkdir ", path));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Containers::KeepFilter(const std::string& id,
                                    const seccomp::ProgramPtr& filter) const {
  ASSIGN_OR_RETURN(
      const base::UniqueFd dir,
      base::OpenAt(AT_FDCWD, parts_.ContainerDir(id), O_RDONLY | O_DIRECTORY));
  return SaveFilter(dir.get(), filter);
}

absl::Status Containers::MakeLeaf(
    const ContainerSpec& spec, const std::vector<DeviceNode>& devices) const {
  std::optional<DeviceRules> rules;
  if (!spec.privileged) rules = RulesFor(devices);
  return parts_.cgroups->Create(spec.cgroup, spec.resources, rules);
}

absl::StatusOr<ContainerFacts> Containers::Create(const ContainerSpec& spec) {
  RETURN_IF_ERROR(CheckContainerSpec(spec));
  ASSIGN_OR_RETURN(
      seccomp::ProgramPtr filter,
      MakeFilter(spec.seccomp, parts_.CapabilitiesOf(spec), &parts_.filters));
  auto container = std::make_shared<LiveContainer>(spec);
  const std::string state = parts_.StateDir(spec.id);
  base::UndoStack undo;
  RETURN_IF_ERROR(MakePrivateDir(parts_.ContainerDir(spec.id)));
  undo.Push("remove run directory", [&] {
    return base::RemoveTree(AT_FDCWD, parts_.ContainerDir(spec.id));
  });
  RETURN_IF_ERROR(
      SaveIdentity(parts_.ContainerDir(spec.id), {spec.cgroup, false}));
  // The agent's record may have made it already.
  if (mkdir(state.c_str(), 0700) != 0 && errno != EEXIST) {
    return base::ErrnoError(errno, absl::StrCat("mkdir ", state));
  }
  undo.Push("remove rootfs", [&] {
    const absl::Status removed = RemoveRootfs(parts_.RootfsDir(spec.id));
    rmdir(state.c_str());
    return removed;
  });
  RETURN_IF_ERROR_IN(KeepFilter(spec.id, filter), "keep the seccomp filter");
  ContainerFacts facts;
  ASSIGN_OR_RETURN(facts.devices, ResolveDevices(spec.devices, spec.sandbox));
  ASSIGN_OR_RETURN(
      PreparedContainer prepared,
      PrepareContainer(&parts_, spec, facts.devices, Preparation::kFirst));
  ASSIGN_OR_RETURN(facts.user, LookUpUser(spec.user, prepared.rootfs.get()));
  RETURN_IF_ERROR(CheckMapped(spec.sandbox, facts.user));
  RETURN_IF_ERROR_IN(MakeLeaf(spec, facts.devices),
                     "make the container's cgroup");
  {
    const base::MutexLock lock(&container->mutex);
    container->user = facts.user;
    container->filter = std::move(filter);
    container->devices = facts.devices;
    container->prepared = std::move(prepared);
  }
  parts_.containers.Put(std::move(container));
  undo.Release();
  return facts;
}

absl::StatusOr<AdoptedContainer> Containers::Adopt(
    const ContainerSpec& spec, const ContainerFacts& facts,
    const base::Deadline& deadline) {
  ContainerSpec known = spec;
  if (known.cgroup.path.empty()) {  // its record makes no sense any more
    ASSIGN_OR_RETURN(Identity identity, FindIdentity(parts_, spec, deadline));
    known.cgroup = std::move(identity.cgroup);
  }
  auto container = std::make_shared<LiveContainer>(std::move(known));
  {
    const base::MutexLock lock(&container->mutex);
    container->user = facts.user;
    if (spec.seccomp.mode != SeccompMode::kUnconfined) {
      container->filter =
          absl::DataLossError("the container's seccomp filter is gone");
    }
    container->devices = facts.devices;
  }
  parts_.containers.Put(container);
  AdoptedContainer adopted;
  ASSIGN_OR_RETURN(
      const std::optional<base::UniqueFd> dir,
      base::ToLook(base::OpenAt(AT_FDCWD, parts_.ContainerDir(spec.id),
                                O_RDONLY | O_DIRECTORY)));
  if (!dir.has_value()) return adopted;  // e.g. after a reboot
  {
    auto filter = LoadFilter(dir->get(), spec.seccomp,
                             parts_.CapabilitiesOf(spec), &parts_.filters);
    // Adopted without it for good is one that has lost it.
    if (!filter.ok() && !absl::IsDataLoss(filter.status())) {
      return filter.status();
    }
    const base::MutexLock lock(&container->mutex);
    container->filter = std::move(filter);
  }
  // Asked before the exit file is looked for: a shim that leaves in between
  // has written it.
  ASSIGN_OR_RETURN(std::optional<LiveShim> shim,
                   FindShim(dir->get(), facts.start, deadline));
  if (shim.has_value()) {
    adopted.liveness = ContainerLiveness::kRunning;
    adopted.start = shim->start;
    RETURN_IF_ERROR(
        exits_->Watch(container, shim->start, std::move(shim->pidfd)));
    return adopted;
  }
  ASSIGN_OR_RETURN(const auto exited, ReadExitFile(dir->get()));
  if (exited.has_value()) {
    adopted.liveness = ContainerLiveness::kExited;
    adopted.exit = ExitRecordOf(parts_, container->spec, *exited);
    return adopted;
  }
  RETURN_IF_ERROR(AdoptWithoutShim(container, facts, dir->get(), deadline));
  return adopted;
}

absl::Status Containers::AdoptWithoutShim(const LiveContainerPtr& container,
                                          const ContainerFacts& facts,
                                          int run_dir_fd,
                                          const base::Deadline& deadline) {
  // Never started, or the shim was killed. What it may have left behind has
  // nobody to read its output or tell its end.
  const CgroupLeaf& leaf = container->spec.cgroup;
  RETURN_IF_ERROR(parts_.KillLeaf(leaf, deadline.Within(kKillPatience)));
  if (faccessat(run_dir_fd, "shim.sock", F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
    return absl::OkStatus();  // it was started
  }
  if (!base::ProvesAbsence(errno)) {
    return base::ErrnoError(errno, "look for shim.sock");
  }
  RETURN_IF_ERROR(parts_.cgroups->Delete(leaf, deadline));
  RETURN_IF_ERROR(MakeLeaf(container->spec, facts.devices));
  auto prepared = PrepareContainer(&parts_, container->spec, facts.devices,
                                   Preparation::kAgain);
  const base::MutexLock lock(&container->mutex);
  // On failure StartContainer tries again and says why.
  if (prepared.ok()) container->prepared = *std::move(prepared);
  return absl::OkStatus();
}

absl::StatusOr<StartFacts> Containers::Start(const std::string& id,
                                             const base::Deadline& deadline) {
  ASSIGN_OR_RETURN(const LiveContainerPtr container,
                   parts_.containers.Find(id));
  return StartLiveContainer(&parts_, exits_.get(), container, deadline);
}

absl::Status Containers::UpdateResources(const std::string& id,
                                         const Resources& from,
                                         const Resources& to) {
  ASSIGN_OR_RETURN(const LiveContainerPtr container,
                   parts_.containers.Find(id));
  return parts_.cgroups->Update(container->spec.cgroup, from, to);
}

absl::Status Containers::Signal(const std::string& id, int signal) {
  ASSIGN_OR_RETURN(const LiveContainerPtr container,
                   parts_.containers.Find(id));
  std::shared_ptr<base::UniqueFd> pidfd;
  {
    const base::MutexLock lock(&container->mutex);
    if (!container->running) {
      return absl::FailedPreconditionError("the container is not running");
    }
    pidfd = container->pidfd;
  }
  // It had ended before it could be opened; ContainerExits::Watch refuses what
  // it cannot open for any other reason.
  if (pidfd == nullptr) return absl::OkStatus();
  return base::SendSignal(pidfd->get(), signal);
}

absl::Status Containers::Kill(const std::string& id) {
  ASSIGN_OR_RETURN(const LiveContainerPtr container,
                   parts_.containers.Find(id));
  const absl::Status killed =
      parts_.cgroups->KillAll(container->spec.cgroup, absl::ZeroDuration());
  base::ReapAdopted();
  // What was sent SIGKILL just now lives a moment longer.
  if (absl::IsDeadlineExceeded(killed)) return absl::OkStatus();
  return base::Annotate(killed, "kill container");
}

absl::Status Containers::AwaitDeath(const std::string& id,
                                    const base::Deadline& deadline) {
  ASSIGN_OR_RETURN(const LiveContainerPtr container,
                   parts_.containers.Find(id));
  const absl::Status dead = parts_.KillLeaf(container->spec.cgroup, deadline);
  base::ReapAdopted();
  return base::Annotate(dead, "wait until the container's processes die");
}

absl::Status Containers::EndShim(const ContainerSpec& spec,
                                 const LiveContainerPtr& live,
                                 const base::Deadline& deadline) const {
  base::ProcessId shim;
  bool watched = false;
  if (live != nullptr) {
    const base::MutexLock lock(&live->mutex);
    watched = live->running;
    if (watched) shim = live->shim;
  }
  // Also of one whose adoption came to no answer.
  if (!watched) {
    ASSIGN_OR_RETURN(shim,
                     ShimBehindSocket(parts_.ContainerDir(spec.id), deadline));
  }
  if (shim.pid == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::optional<base::UniqueFd> pidfd,
                   base::ToLook(base::OpenProcess(shim)));
  if (pidfd.has_value()) {
    // It drains the output and writes the exit file first. A caller who does
    // not wait that long is no reason to take its exit record from it.
    const base::Deadline drained = base::Deadline::After(kKillPatience);
    absl::Status gone =
        base::AwaitFd(pidfd->get(), POLLIN, deadline.Within(kKillPatience));
    if (!gone.ok() && drained.Remaining() > absl::ZeroDuration()) return gone;
    if (!gone.ok()) {
      RETURN_IF_ERROR(base::SendSignal(pidfd->get(), SIGKILL));
      gone =
          base::AwaitFd(pidfd->get(), POLLIN, deadline.Within(kKillPatience));
    }
    if (!gone.ok()) return base::Annotate(gone, "wait until the shim dies");
  }
  if (!watched) return absl::OkStatus();
  // The watcher reads the exit file, which goes with the run directory.
  return live->AwaitExitRead(deadline.Within(kKillPatience));
}

absl::Status Containers::Remove(const ContainerSpec& spec,
                                const base::Deadline& deadline) {
  auto identity = FindIdentity(parts_, spec, deadline);
  if (!identity.ok()) {
    return absl::IsDataLoss(identity.status())
               ? identity.status()
               : absl::UnavailableError(
                     absl::StrCat("nobody can tell where the container is: ",
                                  identity.status().message()));
  }
  const CgroupLeaf& leaf = identity->cgroup;
  const LiveContainerPtr live = parts_.containers.FindIfThere(spec.id);
  if (live != nullptr) {
    const base::MutexLock lock(&live->mutex);
    live->prepared.reset();
  }
  RETURN_IF_ERROR_IN(parts_.KillLeaf(leaf, deadline.Within(kKillPatience)),
                     "kill the container's processes");
  RETURN_IF_ERROR(EndShim(spec, live, deadline));
  base::ReapAdopted();
  RETURN_IF_ERROR_IN(parts_.cgroups->Delete(leaf, deadline),
                     "remove the container's cgroup");
  RETURN_IF_ERROR_IN(RemoveRootfs(parts_.RootfsDir(spec.id), deadline),
                     "remove the rootfs");
  // Goes with the agent's record if that is still there.
  rmdir(parts_.StateDir(spec.id).c_str());
  RETURN_IF_ERROR_IN(base::RemoveTree(AT_FDCWD, parts_.ContainerDir(spec.id)),
                     "remove the run directory");
  parts_.containers.Erase(spec.id);
  return absl::OkStatus();
}

absl::Status Containers::ReopenLog(const std::string& id,
                                   const base::Deadline& deadline) {
  ASSIGN_OR_RETURN(const LiveContainerPtr container,
                   parts_.containers.Find(id));
  {
    const base::MutexLock lock(&container->mutex);
    if (!container->running) {
      return absl::FailedPreconditionError("the container is not running");
    }
  }
  ASSIGN_OR_RETURN(
      const base::UniqueFd dir,
      base::OpenAt(AT_FDCWD, parts_.ContainerDir(id), O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(
      const LogPlace place,
      OpenLogPlace(container->spec.log_directory, container->spec.log_path));
  ASSIGN_OR_RETURN(ShimConnection connection,
                   ShimConnection::Connect(dir.get(), deadline));
  return connection.ReopenLog(place.dir.get(), deadline);
}

std::vector<std::string> Containers::ListIds() const {
  std::vector<std::string> ids;
  const LinuxRuntimeOptions& options = parts_.options;
  auto running = base::ListDir(AT_FDCWD, options.run_dir + "/containers");
  if (running.ok()) ids = *std::move(running);
  auto kept = base::ListDir(AT_FDCWD, options.state_dir + "/containers");
  if (kept.ok()) {
    for (const std::string& id : *kept) {
      if (access(parts_.RootfsDir(id).c_str(), F_OK) == 0) ids.push_back(id);
    }
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace warren::runtime
