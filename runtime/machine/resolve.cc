#include "runtime/machine/resolve.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/status.h"
#include "runtime/machine/find_shim.h"

namespace warren::runtime {
namespace {

constexpr size_t kMaxProcText = 64 << 10;

// "/a/b" of "/a/b/<id>".
std::string ParentOf(const std::string& leaf) {
  return leaf.substr(0, leaf.rfind('/'));
}

// The path up to the element of `id`; "" when there is none.
std::string LeafIn(absl::string_view path, absl::string_view id) {
  const std::string scope = absl::StrCat("warren-", id, ".scope");
  std::string leaf;
  for (const absl::string_view part :
       absl::StrSplit(path, '/', absl::SkipEmpty())) {
    absl::StrAppend(&leaf, "/", part);
    if (part == id || part == scope) return leaf;
  }
  return "";
}

// A process that has ended shows nothing.
base::Look<CgroupLeaf> LeafOfProcess(const Parts& parts,
                                     const base::ProcessId& process,
                                     absl::string_view id) {
  if (process.pid == 0) return std::nullopt;
  ASSIGN_OR_RETURN(const std::optional<base::UniqueFd> pidfd,
                   base::ToLook(base::OpenProcess(process)));
  if (!pidfd.has_value()) return std::nullopt;
  ASSIGN_OR_RETURN(const std::optional<std::string> text,
                   base::ToLook(base::ReadFileAt(
                       AT_FDCWD, absl::StrCat("/proc/", process.pid, "/cgroup"),
                       kMaxProcText)));
  if (!text.has_value()) return std::nullopt;
  return LeafInProcText(*text, id, parts.cgroups->IsV2());
}

// Where new objects below `parent`, as a request has it, go today.
absl::StatusOr<CgroupLeaf> LeafOfToday(const Parts& parts,
                                       const std::string& parent,
                                       const std::string& id) {
  const std::string& by_default = parts.options.default_cgroup_parent;
  CgroupLeaf leaf;
  ASSIGN_OR_RETURN(leaf.path, CgroupPath(parent, by_default, id));
  ASSIGN_OR_RETURN(leaf.own_parent, CgroupParentPath("", by_default));
  return leaf;
}

}  // namespace

absl::Status ResolveSandboxSpec(const Parts& parts,
                                const base::ProcessId& process,
                                SandboxSpec* spec) {
  if (!spec->cgroup.path.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(CgroupLeaf leaf,
                   LeafOfToday(parts, spec->cgroup_parent, spec->id));
  ASSIGN_OR_RETURN(const std::optional<CgroupLeaf> shown,
                   LeafOfProcess(parts, process, spec->id));
  spec->cgroup = shown.value_or(std::move(leaf));
  return absl::OkStatus();
}

absl::Status ResolveContainerSpec(const Parts& parts,
                                  const base::ProcessId& process,
                                  ContainerSpec* spec) {
  spec->resources = parts.WithDefaults(spec->resources);
  if (!spec->cgroup.path.empty()) return absl::OkStatus();
  const CgroupLeaf& pod = spec->sandbox.cgroup;
  CgroupLeaf leaf;
  if (pod.path.empty()) {
    ASSIGN_OR_RETURN(leaf,
                     LeafOfToday(parts, spec->sandbox.cgroup_parent, spec->id));
  } else {
    // Beside its pod's, whatever the options say since.
    ASSIGN_OR_RETURN(leaf.path, CgroupPath(spec->sandbox.cgroup_parent,
                                           ParentOf(pod.path), spec->id));
    leaf.own_parent = pod.own_parent;
  }
  // One that is there already was made by an agent that knew no inner cgroups.
  if (access(parts.ContainerDir(spec->id).c_str(), F_OK) != 0 &&
      base::ProvesAbsence(errno)) {
    leaf.inner = parts.cgroups->InnerName();
  }
  ASSIGN_OR_RETURN(const std::optional<CgroupLeaf> shown,
                   LeafOfProcess(parts, process, spec->id));
  spec->cgroup = shown.value_or(std::move(leaf));
  return absl::OkStatus();
}

absl::StatusOr<Identity> FindIdentity(const Parts& parts,
                                      const SandboxSpec& spec) {
  if (!spec.cgroup.path.empty()) {
    return Identity{spec.cgroup, spec.pid == NamespaceMode::kPod};
  }
  ASSIGN_OR_RETURN(const std::optional<Identity> kept,
                   LoadIdentity(parts.SandboxDir(spec.id)));
  if (kept.has_value()) return *kept;
  // Whether it has a pod init is unknown: the end of one that is not there
  // costs two looks.
  Identity identity;
  identity.pod_init = true;
  ASSIGN_OR_RETURN(identity.cgroup,
                   LeafOfToday(parts, spec.cgroup_parent, spec.id));
  return identity;
}

absl::StatusOr<Identity> FindIdentity(const Parts& parts,
                                      const ContainerSpec& spec,
                                      const base::Deadline& deadline) {
  if (!spec.cgroup.path.empty()) return Identity{spec.cgroup, false};
  const std::string directory = parts.ContainerDir(spec.id);
  ASSIGN_OR_RETURN(const std::optional<Identity> kept, LoadIdentity(directory));
  if (kept.has_value()) return *kept;
  ContainerSpec today = spec;
  base::ProcessId process;
  ASSIGN_OR_RETURN(
      const std::optional<base::UniqueFd> dir,
      base::ToLook(base::OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY)));
  if (dir.has_value()) {
    ASSIGN_OR_RETURN(const std::optional<LiveShim> shim,
                     FindShim(dir->get(), StartFacts(), deadline));
    if (shim.has_value()) process = shim->start.process;
  }
  RETURN_IF_ERROR(ResolveContainerSpec(parts, process, &today));
  return Identity{today.cgroup, false};
}

std::optional<CgroupLeaf> LeafInProcText(absl::string_view text,
                                         absl::string_view id, bool v2) {
  CgroupLeaf leaf;
  for (const absl::string_view line :
       absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    // "5:pids:/a/b", "1:name=systemd:/a", "0::/a"
    const std::vector<absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    const bool has_controllers =
        !parts[1].empty() && !absl::StartsWith(parts[1], "name=");
    if (v2 && !parts[1].empty()) continue;
    const std::string found = LeafIn(parts[2], id);
    if (found.empty()) continue;
    if (v2 || has_controllers) {
      leaf.path = found;
    } else {
      leaf.own_parent = ParentOf(found);
    }
  }
  if (leaf.path.empty()) return std::nullopt;
  return leaf;
}

}  // namespace warren::runtime
