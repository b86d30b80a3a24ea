#include "runtime/machine/sandboxes.h"

#include <absl/strings/str_cat.h>
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
#include "runtime/identity/id_map.h"
#include "runtime/launch/request.h"
#include "runtime/launch/seccomp_filter.h"
#include "runtime/machine/identity_file.h"
#include "runtime/machine/resolve.h"
#include "runtime/mounts/pod_files.h"
#include "runtime/namespaces/table.h"

namespace warren::runtime {
namespace {

// For what was sent SIGKILL; Runtime::StopSandbox names it.
constexpr absl::Duration kPodInitPatience = absl::Seconds(10);

absl::Status CheckSandboxSpec(const SandboxSpec& spec, bool time_namespaces) {
  if (spec.id.empty() || spec.id.find('/') != std::string::npos) {
    return absl::InvalidArgumentError("id: not the id of a sandbox");
  }
  RETURN_IF_ERROR(ValidateIdMappings(spec.uid_mappings, "userns_options.uids"));
  RETURN_IF_ERROR(ValidateIdMappings(spec.gid_mappings, "userns_options.gids"));
  if (spec.uid_mappings.empty() != spec.gid_mappings.empty()) {
    return absl::InvalidArgumentError(
        "userns_options: uids and gids must be given together");
  }
  if (spec.cgroup.path.empty()) {
    return absl::InternalError("the pod's spec was not resolved");
  }
  if (spec.time_offsets_requested && !time_namespaces) {
    return absl::FailedPreconditionError(
        "time offsets: the host's kernel has no time namespaces");
  }
  return absl::OkStatus();
}

// A sysctl that the kernel has not got in a pod's namespace, or a value that it
// does not take, is a fault of the request.
absl::Status NameSysctl(const absl::Status& status) {
  if (FailedStep(status) != "sysctl") return status;
  switch (base::GetErrno(status)) {
    case ENOENT:
    case EINVAL:
    case ERANGE:
    case EACCES:
    case EPERM:
      return absl::InvalidArgumentError(
          absl::StrCat("config.linux.sysctls: ", status.message()));
    default:
      return status;
  }
}

}  // namespace

absl::StatusOr<base::ProcessId> Sandboxes::LaunchNamespaces(
    const SandboxSpec& spec, int pin_dir_fd) const {
  SandboxLaunchParts launch;
  launch.spec = &spec;
  launch.clone_flags = SandboxCloneFlags(spec, parts_.time_namespaces);
  // Nothing to make or pin: everything is the host's.
  if (launch.clone_flags == 0) return base::ProcessId();
  if (spec.pid == NamespaceMode::kPod) {
    ASSIGN_OR_RETURN(launch.placement,
                     parts_.cgroups->OpenPlacement(spec.cgroup));
  }
  launch.template_ns_fd = parts_.mount_namespaces->template_ns();
  launch.pins_ns_fd = parts_.mount_namespaces->pins();
  launch.pin_dir_fd = pin_dir_fd;
  const LaunchRequest request = BuildSandboxLaunch(std::move(launch));
  auto launched = parts_.launcher.LaunchSandbox(request.message, request.fds());
  if (!launched.ok()) return NameSysctl(launched.status());
  return launched->process;
}

absl::StatusOr<SandboxFacts> Sandboxes::ReadFacts(
    const SandboxSpec& spec) const {
  SandboxFacts facts;
  for (const NamespaceInfo& info : NamespaceTable()) {
    if (!info.of_pod) continue;
    const NamespaceMode mode = ModeOf(info.kind, spec, parts_.time_namespaces);
    if (mode == NamespaceMode::kContainer) continue;
    NamespaceFact fact;
    fact.kind = info.kind;
    fact.is_host = mode == NamespaceMode::kHost;
    fact.inode = parts_.host_inodes[static_cast<size_t>(info.kind)];
    if (!fact.is_host) {
      ASSIGN_OR_RETURN(const base::UniqueFd pin,
                       parts_.mount_namespaces->OpenPin(spec.id, info.kind));
      struct stat st;
      if (fstat(pin.get(), &st) != 0) return base::ErrnoError(errno, info.name);
      fact.inode = st.st_ino;
    }
    facts.namespaces.push_back(fact);
  }
  return facts;
}

void Sandboxes::SetPodInitCallback(Runtime::PodInitCallback callback) {
  const base::MutexLock lock(&mutex_);
  callback_ = std::move(callback);
}

absl::Status Sandboxes::KeepPodInit(const std::string& id,
                                    const base::ProcessId& pod_init) {
  if (pod_init.pid == 0) return absl::OkStatus();
  {
    const base::MutexLock lock(&mutex_);
    if (pod_inits_.count(id) != 0) return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(base::UniqueFd pidfd, base::OpenProcess(pod_init));
  base::UniqueFd watched(fcntl(pidfd.get(), F_DUPFD_CLOEXEC, 3));
  if (!watched.valid()) return base::ErrnoError(errno, "watch the pod init");
  {
    const base::MutexLock lock(&mutex_);
    pod_inits_[id] = std::move(pidfd);
  }
  return watcher_.Watch(std::move(watched), [this, id](base::UniqueFd ended) {
    OnPodInitExit(id, std::move(ended));
  });
}

void Sandboxes::OnPodInitExit(const std::string& id, base::UniqueFd pidfd) {
  Runtime::PodInitCallback callback;
  {
    const base::MutexLock lock(&mutex_);
    // Taken out by EndPodInit, which reaps it.
    if (pod_inits_.erase(id) == 0) return;
    callback = callback_;
  }
  // Not a child after a restart of the agent.
  base::Reap(pidfd.get()).IgnoreError();
  if (callback) callback(id);
}

absl::StatusOr<SandboxFacts> Sandboxes::Create(const SandboxSpec& spec) {
  RETURN_IF_ERROR(CheckSandboxSpec(spec, parts_.time_namespaces));
  RETURN_IF_ERROR(MakeFilter(spec.seccomp, 0, &parts_.filters).status());
  const std::string dir = parts_.SandboxDir(spec.id);
  base::UndoStack undo;
  if (mkdir(dir.c_str(), 0700) != 0) {
    return base::ErrnoError(errno, absl::StrCat("mkdir ", dir));
  }
  undo.Push("remove our own cgroup", [this] {
    RemoveOwnCgroupAfterTheLast();
    return absl::OkStatus();
  });
  undo.Push("remove run directory",
            [&] { return base::RemoveTree(AT_FDCWD, dir); });
  RETURN_IF_ERROR(
      SaveIdentity(dir, {spec.cgroup, spec.pid == NamespaceMode::kPod}));
  ASSIGN_OR_RETURN_IN(const base::UniqueFd files, MakePodFiles(spec),
                      "write pod files");
  ASSIGN_OR_RETURN(const base::UniqueFd directory,
                   parts_.mount_namespaces->AddPod(spec.id, files.get()));
  undo.Push("drop pins",
            [&] { return parts_.mount_namespaces->RemovePod(spec.id); });
  if (spec.pid == NamespaceMode::kPod) {
    RETURN_IF_ERROR_IN(
        parts_.cgroups->Create(spec.cgroup, Resources(), StandardDeviceRules()),
        "make the pod init's cgroup");
    // Also when the launch failed: what the shim said of a pod init that runs
    // may not have come through.
    undo.Push("end the pod init", [&] {
      return EndPodInit(spec.id, spec.cgroup, base::Deadline::Never());
    });
  }
  ASSIGN_OR_RETURN(const base::ProcessId pod_init,
                   LaunchNamespaces(spec, directory.get()));
  RETURN_IF_ERROR_IN(KeepPodInit(spec.id, pod_init), "watch the pod init");
  ASSIGN_OR_RETURN(SandboxFacts facts, ReadFacts(spec));
  facts.pod_init = pod_init;
  undo.Release();
  return facts;
}

absl::Status Sandboxes::Adopt(const SandboxSpec& spec,
                              const SandboxFacts& facts) {
  ASSIGN_OR_RETURN(const SandboxFacts now, ReadFacts(spec));
  for (const NamespaceFact& fact : facts.namespaces) {
    if (fact.is_host) continue;
    bool same = false;
    for (const NamespaceFact& n : now.namespaces) {
      same |= n.kind == fact.kind && n.inode == fact.inode && !n.is_host;
    }
    if (!same) {
      return absl::FailedPreconditionError(
          absl::StrCat("the pod's ", InfoOf(fact.kind).name,
                       " namespace is not the one it was made with"));
    }
  }
  if (spec.pid != NamespaceMode::kPod) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::optional<base::UniqueFd> pod_init,
                   base::ToLook(base::OpenProcess(facts.pod_init)));
  bool ended = !pod_init.has_value();
  if (!ended) {
    ASSIGN_OR_RETURN(ended,
                     base::WaitExit(pod_init->get(), absl::ZeroDuration()));
  }
  if (ended) return absl::FailedPreconditionError("the pod init has ended");
  return base::Annotate(KeepPodInit(spec.id, facts.pod_init),
                        "watch the pod init");
}

absl::StatusOr<base::UniqueFd> Sandboxes::OpenNetns(
    const std::string& id) const {
  return parts_.mount_namespaces->OpenPin(id, NamespaceKind::kNet);
}

absl::Status Sandboxes::EndPodInit(const std::string& id,
                                   const CgroupLeaf& leaf,
                                   const base::Deadline& deadline) {
  base::UniqueFd pod_init;
  {
    const base::MutexLock lock(&mutex_);
    auto node = pod_inits_.extract(id);
    if (!node.empty()) pod_init = std::move(node.mapped());
  }
  if (pod_init.valid()) {
    absl::Status gone = base::SendSignal(pod_init.get(), SIGKILL);
    // Its cgroup may be frozen, which the kill of a cgroup sees to.
    if (gone.ok()) gone = parts_.cgroups->KillAll(leaf, absl::ZeroDuration());
    if (gone.ok() || absl::IsDeadlineExceeded(gone)) {
      gone = base::AwaitFd(pod_init.get(), POLLIN,
                           deadline.Within(kPodInitPatience));
    }
    if (!gone.ok()) {
      const base::MutexLock lock(&mutex_);
      pod_inits_[id] = std::move(pod_init);
      return base::Annotate(gone, "wait until the pod init dies");
    }
    // Ours to reap, because we are a subreaper, unless an earlier agent
    // started it.
    base::Reap(pod_init.get()).IgnoreError();
  }
  const bool known = pod_init.valid();
  RETURN_IF_ERROR(parts_.KillLeaf(leaf, deadline.Within(kPodInitPatience)));
  // One that nobody could watch has nobody to reap it.
  if (!known) base::ReapAdopted();
  return parts_.cgroups->Delete(leaf, deadline);
}

absl::Status Sandboxes::Stop(const SandboxSpec& spec,
                             const base::Deadline& deadline) {
  ASSIGN_OR_RETURN(const Identity identity, FindIdentity(parts_, spec));
  return StopFound(spec.id, identity, deadline);
}

absl::Status Sandboxes::StopFound(const std::string& id,
                                  const Identity& identity,
                                  const base::Deadline& deadline) {
  if (identity.pod_init) {
    RETURN_IF_ERROR_IN(EndPodInit(id, identity.cgroup, deadline),
                       "end the pod init");
  }
  return parts_.mount_namespaces->RemovePod(id);
}

absl::Status Sandboxes::Remove(const SandboxSpec& spec,
                               const base::Deadline& deadline) {
  ASSIGN_OR_RETURN(const Identity identity, FindIdentity(parts_, spec));
  RETURN_IF_ERROR(StopFound(spec.id, identity, deadline));
  RETURN_IF_ERROR_IN(base::RemoveTree(AT_FDCWD, parts_.SandboxDir(spec.id)),
                     "remove run directory");
  const auto today = CgroupParentPath("", parts_.options.default_cgroup_parent);
  // Our own cgroup of earlier options: nothing new comes into it.
  if (const std::string& own = identity.cgroup.own_parent;
      !own.empty() && today.ok() && own != *today) {
    if (const auto place = ShimPlace::Below(own, parts_.cgroups.get());
        place.ok()) {
      place->RemoveIfEmpty();
    }
    parts_.cgroups->DeleteIfEmpty(own);
  }
  RemoveOwnCgroupAfterTheLast();
  return today.status();
}

void Sandboxes::RemoveOwnCgroupAfterTheLast() const {
  const auto today = CgroupParentPath("", parts_.options.default_cgroup_parent);
  // lint: allow absence: the start has checked it
  if (!today.ok()) return;
  // A directory with directories in it has more than two links where the file
  // system counts them.
  struct stat st;
  const bool others =
      stat((parts_.options.run_dir + "/sandboxes").c_str(), &st) == 0 &&
      st.st_nlink > 2;
  if (!others && ListIds().empty()) {
    parts_.shim_place->RemoveIfEmpty();
    parts_.cgroups->DeleteIfEmpty(*today);
  }
}

std::vector<std::string> Sandboxes::ListIds() const {
  // What cannot be listed now is found next time.
  std::vector<std::string> ids;
  if (auto pods = parts_.mount_namespaces->Pods(); pods.ok()) {
    ids = *std::move(pods);
  }
  auto directories =
      base::ListDir(AT_FDCWD, parts_.options.run_dir + "/sandboxes");
  if (directories.ok()) {
    ids.insert(ids.end(), directories->begin(), directories->end());
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace warren::runtime
