#include "runtime/machine/inspection.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "runtime/base/status.h"
#include "runtime/inspect/proc_reader.h"
#include "runtime/namespaces/table.h"

namespace warren::runtime {
namespace {

constexpr char kOwn[] = "/proc/self/ns/";

}  // namespace

NamespaceView Inspection::ViewOf(NamespaceKind kind, int ns_fd,
                                 NamespaceMode mode) const {
  NamespaceView view;
  view.kind = kind;
  view.mode = mode;
  const auto ids = IdentifyNamespace(ns_fd);
  if (ids.ok()) {
    view.inode = ids->inode;
    view.owner_user_inode = ids->owner;
  }
  view.is_host = view.inode == parts_.host_inodes[static_cast<size_t>(kind)];
  return view;
}

void Inspection::ViewNamespaces(const SandboxSpec& spec,
                                SandboxView* view) const {
  for (const NamespaceInfo& info : NamespaceTable()) {
    const NamespaceMode mode = ModeOf(info.kind, spec, parts_.time_namespaces);
    if (mode == NamespaceMode::kContainer) continue;
    auto fd = mode == NamespaceMode::kHost
                  ? base::OpenAt(AT_FDCWD, absl::StrCat(kOwn, info.name),
                                 O_RDONLY | O_NONBLOCK)
                  : parts_.mount_namespaces->OpenPin(spec.id, info.kind);
    // A stopped pod has none any more; an old kernel never had some.
    // lint: allow absence: a view shows what can be seen
    if (!fd.ok()) continue;
    view->namespaces.push_back(ViewOf(info.kind, fd->get(), mode));
    if (info.kind != NamespaceKind::kUts) continue;
    auto hostname = ReadHostname(fd->get());
    if (hostname.ok()) view->hostname = *std::move(hostname);
  }
}

std::vector<pid_t> Inspection::ProcessesOfPod(
    const std::string& sandbox_id) const {
  std::vector<pid_t> pids;
  for (const LiveContainerPtr& member : parts_.containers.OfPod(sandbox_id)) {
    const base::MutexLock lock(&member->mutex);
    if (member->running) pids.push_back(member->process.pid);
  }
  return pids;
}

absl::StatusOr<SandboxView> Inspection::Sandbox(const SandboxSpec& spec) const {
  SandboxView view;
  ViewNamespaces(spec, &view);
  const std::string& leaf = spec.cgroup.path;
  view.cgroup_parent = leaf.substr(0, leaf.rfind('/'));
  std::vector<pid_t> witnesses;
  if (spec.pid == NamespaceMode::kPod) {
    ASSIGN_OR_RETURN(witnesses, parts_.cgroups->Processes(spec.cgroup));
    for (const pid_t pid : witnesses) {
      auto process = ReadProcess(pid);
      if (process.ok()) view.pod_init.push_back(*std::move(process));
    }
  }
  // Only a process can show the maps and the offsets; a pod without one still
  // has those that it was made with.
  view.uid_mappings = spec.uid_mappings;
  view.gid_mappings = spec.gid_mappings;
  view.time_offsets = spec.time_offsets;
  const std::vector<pid_t> inside = ProcessesOfPod(spec.id);
  witnesses.insert(witnesses.end(), inside.begin(), inside.end());
  for (const pid_t pid : witnesses) {
    auto uids = ReadIdMap(pid, "uid_map");
    auto gids = ReadIdMap(pid, "gid_map");
    auto offsets = ReadTimeOffsets(pid);
    // lint: allow absence: a view shows what can be seen
    if (!uids.ok() || !gids.ok()) continue;
    // The host's own map is said by an empty list, as in the spec.
    if (HasUserNamespace(spec)) {
      view.uid_mappings = *std::move(uids);
      view.gid_mappings = *std::move(gids);
    }
    if (offsets.ok()) view.time_offsets = *offsets;
    break;
  }
  return view;
}

absl::StatusOr<ContainerView> Inspection::Container(
    const std::string& id) const {
  ASSIGN_OR_RETURN(const LiveContainerPtr container,
                   parts_.containers.Find(id));
  ContainerView view;
  view.id = id;
  view.cgroup_path = container->spec.cgroup.path;
  base::ProcessId process;
  {
    const base::MutexLock lock(&container->mutex);
    if (container->running) process = container->process;
  }
  if (process.pid == 0) return view;
  base::UniqueFd uts;
  for (const NamespaceInfo& info : NamespaceTable()) {
    auto fd = OpenNamespaceOf(process.pid, info.name);
    // lint: allow absence: a view shows what can be seen
    if (!fd.ok()) continue;
    view.namespaces.push_back(
        ViewOf(info.kind, fd->get(),
               ModeOf(info.kind, container->spec, parts_.time_namespaces)));
    if (info.kind == NamespaceKind::kUts) uts = *std::move(fd);
  }
  if (uts.valid()) {
    auto hostname = ReadHostname(uts.get());
    if (hostname.ok()) view.hostname = *std::move(hostname);
  }
  auto mounts = ReadMounts(process.pid);
  if (mounts.ok()) view.mounts = *std::move(mounts);
  ASSIGN_OR_RETURN(const auto pids,
                   parts_.cgroups->Processes(container->spec.cgroup));
  for (const pid_t pid : pids) {
    auto view_of = ReadProcess(pid);
    if (view_of.ok()) view.processes.push_back(*std::move(view_of));
  }
  return view;
}

}  // namespace warren::runtime
