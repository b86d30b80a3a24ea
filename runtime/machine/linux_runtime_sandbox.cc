#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "runtime/base/status.h"
#include "runtime/base/undo_stack.h"
#include "runtime/identity/id_map.h"
#include "runtime/machine/linux_runtime_impl.h"
#include "runtime/mounts/pod_files.h"
#include "runtime/namespaces/table.h"

namespace warren::runtime {
namespace {

constexpr absl::Duration kKillTimeout = absl::Seconds(10);

absl::Status Check(const SandboxSpec& spec, bool time_namespaces) {
  if (spec.id.empty() || spec.id.find('/') != std::string::npos) {
    return absl::InvalidArgumentError("id: not the id of a sandbox");
  }
  RETURN_IF_ERROR(ValidateIdMappings(spec.uid_mappings, "userns_options.uids"));
  RETURN_IF_ERROR(ValidateIdMappings(spec.gid_mappings, "userns_options.gids"));
  if (spec.uid_mappings.empty() != spec.gid_mappings.empty()) {
    return absl::InvalidArgumentError(
        "userns_options: uids and gids must be given together");
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

absl::StatusOr<base::ProcessId> LinuxRuntime::LaunchNamespaces(
    const SandboxSpec& spec, const std::string& leaf, int pin_dir_fd) {
  SandboxLaunchParts parts;
  parts.spec = &spec;
  parts.clone_flags = SandboxCloneFlags(spec, time_namespaces_);
  // Nothing to make or pin: everything is the host's.
  if (parts.clone_flags == 0) return base::ProcessId();
  if (spec.pid == NamespaceMode::kPod) {
    ASSIGN_OR_RETURN(parts.placement, cgroups_->OpenPlacement(leaf));
  }
  parts.pins_ns_fd = mount_namespaces_->pins();
  parts.pin_dir_fd = pin_dir_fd;
  const LaunchRequest request = BuildSandboxLaunch(std::move(parts));
  auto launched = launcher_.LaunchSandbox(request.message, request.fds());
  if (!launched.ok()) return NameSysctl(launched.status());
  return launched->process;
}

absl::StatusOr<SandboxFacts> LinuxRuntime::ReadFacts(
    const SandboxSpec& spec) const {
  SandboxFacts facts;
  for (const NamespaceInfo& info : NamespaceTable()) {
    if (!info.of_pod) continue;
    const NamespaceMode mode = ModeOf(info.kind, spec, time_namespaces_);
    if (mode == NamespaceMode::kContainer) continue;
    NamespaceFact fact;
    fact.kind = info.kind;
    fact.is_host = mode == NamespaceMode::kHost;
    fact.inode = host_inodes_[static_cast<size_t>(info.kind)];
    if (!fact.is_host) {
      ASSIGN_OR_RETURN(const base::UniqueFd pin,
                       mount_namespaces_->OpenPin(spec.id, info.kind));
      struct stat st;
      if (fstat(pin.get(), &st) != 0) return base::ErrnoError(errno, info.name);
      fact.inode = st.st_ino;
    }
    facts.namespaces.push_back(fact);
  }
  return facts;
}

void LinuxRuntime::KeepPodInit(const std::string& id,
                               const base::ProcessId& pod_init) {
  if (pod_init.pid == 0) return;
  auto pidfd = base::OpenProcess(pod_init);
  if (!pidfd.ok()) return;
  absl::MutexLock lock(&mutex_);
  pod_inits_[id] = *std::move(pidfd);
}

absl::StatusOr<SandboxFacts> LinuxRuntime::CreateSandbox(
    const SandboxSpec& spec) {
  RETURN_IF_ERROR(Check(spec, time_namespaces_));
  RETURN_IF_ERROR(MakeFilter(spec.seccomp, 0, &filters_).status());
  ASSIGN_OR_RETURN(const std::string leaf, LeafOf(spec, spec.id));
  const std::string dir = SandboxDir(spec.id);
  base::UndoStack undo;
  if (mkdir(dir.c_str(), 0700) != 0) {
    return base::ErrnoError(errno, absl::StrCat("mkdir ", dir));
  }
  undo.Push("remove run directory",
            [&] { return base::RemoveTree(AT_FDCWD, dir); });
  ASSIGN_OR_RETURN_IN(const base::UniqueFd files, MakePodFiles(spec),
                      "write pod files");
  ASSIGN_OR_RETURN(const base::UniqueFd directory,
                   mount_namespaces_->AddPod(spec.id, files.get()));
  undo.Push("drop pins", [&] { return mount_namespaces_->RemovePod(spec.id); });
  if (spec.pid == NamespaceMode::kPod) {
    RETURN_IF_ERROR_IN(
        cgroups_->Create(leaf, Resources(), StandardDeviceRules()),
        "make the pod init's cgroup");
    undo.Push("remove cgroup", [&] { return cgroups_->Delete(leaf); });
  }
  ASSIGN_OR_RETURN(const base::ProcessId pod_init,
                   LaunchNamespaces(spec, leaf, directory.get()));
  undo.Push("end the pod init", [&] { return EndPodInit(spec); });
  KeepPodInit(spec.id, pod_init);
  ASSIGN_OR_RETURN(SandboxFacts facts, ReadFacts(spec));
  facts.pod_init = pod_init;
  undo.Release();
  return facts;
}

absl::Status LinuxRuntime::AdoptSandbox(const SandboxSpec& spec,
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
  auto pod_init = base::OpenProcess(facts.pod_init);
  if (!pod_init.ok() ||
      *base::WaitExit(pod_init->get(), absl::ZeroDuration())) {
    return absl::FailedPreconditionError("the pod init has ended");
  }
  absl::MutexLock lock(&mutex_);
  pod_inits_[spec.id] = *std::move(pod_init);
  return absl::OkStatus();
}

absl::StatusOr<base::UniqueFd> LinuxRuntime::OpenSandboxNetns(
    const std::string& sandbox_id) {
  return mount_namespaces_->OpenPin(sandbox_id, NamespaceKind::kNet);
}

absl::Status LinuxRuntime::EndPodInit(const SandboxSpec& spec) {
  ASSIGN_OR_RETURN(const std::string leaf, LeafOf(spec, spec.id));
  base::UniqueFd pod_init;
  {
    absl::MutexLock lock(&mutex_);
    auto node = pod_inits_.extract(spec.id);
    if (!node.empty()) pod_init = std::move(node.mapped());
  }
  if (pod_init.valid()) {
    RETURN_IF_ERROR(base::SendSignal(pod_init.get(), SIGKILL));
    ASSIGN_OR_RETURN(const bool gone,
                     base::WaitExit(pod_init.get(), kKillTimeout));
    if (!gone) {
      absl::MutexLock lock(&mutex_);
      pod_inits_[spec.id] = std::move(pod_init);
      return absl::DeadlineExceededError("the pod init does not die");
    }
    // Ours to reap, because we are a subreaper, unless an earlier agent
    // started it.
    base::Reap(pod_init.get()).IgnoreError();
  }
  RETURN_IF_ERROR(cgroups_->KillAll(leaf, kKillTimeout));
  return cgroups_->Delete(leaf);
}

absl::Status LinuxRuntime::StopSandbox(const SandboxSpec& spec) {
  if (spec.pid == NamespaceMode::kPod) {
    RETURN_IF_ERROR_IN(EndPodInit(spec), "end the pod init");
  }
  return mount_namespaces_->RemovePod(spec.id);
}

absl::Status LinuxRuntime::RemoveSandbox(const SandboxSpec& spec) {
  RETURN_IF_ERROR(StopSandbox(spec));
  RETURN_IF_ERROR_IN(base::RemoveTree(AT_FDCWD, SandboxDir(spec.id)),
                     "remove run directory");
  // The last pod takes our own cgroup along. A directory with directories in it
  // has more than two links where the file system counts them.
  struct stat st;
  const bool others =
      stat((options_.run_dir + "/sandboxes").c_str(), &st) == 0 &&
      st.st_nlink > 2;
  if (!others && ListSandboxIds().empty()) {
    auto own = CgroupParentPath("", options_.default_cgroup_parent);
    if (own.ok()) cgroups_->DeleteIfEmpty(*own);
  }
  return absl::OkStatus();
}

}  // namespace warren::runtime
