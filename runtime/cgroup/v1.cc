#include "runtime/cgroup/v1.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <optional>

#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/freezer.h"
#include "runtime/cgroup/update.h"

namespace warren::runtime {
namespace {

// A file system's options name its controllers among other things.
constexpr std::array<absl::string_view, 15> kControllers = {
    "cpu",      "cpuacct",    "cpuset", "memory",  "devices",
    "freezer",  "blkio",      "pids",   "hugetlb", "net_cls",
    "net_prio", "perf_event", "rdma",   "misc",    "debug"};

std::vector<std::string> ControllersOf(const base::MountEntry& mount) {
  std::vector<std::string> result;
  for (absl::string_view option :
       absl::StrSplit(mount.super_options, ',', absl::SkipEmpty())) {
    if (absl::StartsWith(option, "name=") ||
        std::find(kControllers.begin(), kControllers.end(), option) !=
            kControllers.end()) {
      result.emplace_back(option);
    }
  }
  return result;
}

bool HasController(const V1Hierarchy& h) {
  return !h.is_v2 && !h.controllers.empty() &&
         !absl::StartsWith(h.controllers[0], "name=");
}

bool Has(const V1Hierarchy& h, absl::string_view controller) {
  return std::find(h.controllers.begin(), h.controllers.end(), controller) !=
         h.controllers.end();
}

// A new cpuset is empty, and nothing can enter it, until it is given what its
// parent has; cgroup.clone_children lets the kernel do that for what we make
// below.
absl::Status InheritCpuset(int parent, int directory) {
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    ASSIGN_OR_RETURN(const std::string own, base::ReadFileAt(directory, file));
    if (own != "\n" && !own.empty()) continue;
    ASSIGN_OR_RETURN(const std::string value, base::ReadFileAt(parent, file));
    RETURN_IF_ERROR(base::WriteControlAt(directory, file, value));
  }
  return absl::OkStatus();
}

absl::Status RestrictDevices(int directory, const DeviceRules& rules) {
  RETURN_IF_ERROR(base::WriteControlAt(directory, "devices.deny", "a"));
  ASSIGN_OR_RETURN(const base::UniqueFd allow,
                   base::OpenAt(directory, "devices.allow", O_WRONLY));
  for (const DeviceRule& rule : rules) {
    const std::string text = ToV1Text(rule);
    RETURN_IF_ERROR_IN(base::WriteFd(allow.get(), text),
                       absl::StrCat("devices.allow \"", text, "\""));
  }
  return absl::OkStatus();
}

absl::Status WriteValues(const V1Hierarchy& h, int directory,
                         const std::vector<ControlValue>& values) {
  for (const ControlValue& v : values) {
    if (!Has(h, v.controller)) continue;
    RETURN_IF_ERROR(WriteValue({directory, v}, base::WriteControlAt));
  }
  return absl::OkStatus();
}

// A number in a control file; unlimited and unreadable are the largest.
int64_t ReadLimit(int directory, const char* file) {
  const auto text = base::ReadFileAt(directory, file);
  int64_t number = 0;
  const bool parsed =
      text.ok() && absl::SimpleAtoi(absl::StripAsciiWhitespace(*text), &number);
  return parsed && number >= 0 ? number : INT64_MAX;
}

}  // namespace

absl::StatusOr<std::vector<V1Hierarchy>> FindV1Hierarchies(
    const std::string& root, const std::vector<base::MountEntry>& mounts) {
  std::vector<V1Hierarchy> result;
  for (const base::MountEntry& m : mounts) {
    absl::string_view name = m.target;
    const bool is_v2 = m.fs_type == "cgroup2";
    if ((!is_v2 && m.fs_type != "cgroup") ||
        !absl::ConsumePrefix(&name, root + "/") ||
        absl::StrContains(name, "/")) {
      continue;
    }
    std::vector<std::string> controllers;
    if (!is_v2) {
      controllers = ControllersOf(m);
      if (controllers.empty()) continue;
    }
    const auto same = [&](const V1Hierarchy& h) {
      return h.is_v2 == is_v2 && h.controllers == controllers;
    };
    if (std::any_of(result.begin(), result.end(), same)) continue;
    ASSIGN_OR_RETURN(base::UniqueFd fd,
                     base::OpenAt(AT_FDCWD, m.target, O_PATH | O_DIRECTORY));
    result.push_back({std::string(name), std::move(controllers), is_v2,
                      CgroupTree(std::move(fd))});
  }
  // A v2 tree alone is no v1 machine.
  if (std::none_of(result.begin(), result.end(), HasController)) result.clear();
  return result;
}

const V1Hierarchy* CgroupV1::Find(absl::string_view controller) const {
  for (const V1Hierarchy& h : hierarchies_) {
    if (Has(h, controller)) return &h;
  }
  return nullptr;
}

const V1Hierarchy* CgroupV1::FindV2() const {
  for (const V1Hierarchy& h : hierarchies_) {
    if (h.is_v2) return &h;
  }
  return nullptr;
}

std::string CgroupV1::PathIn(const V1Hierarchy& h,
                             const CgroupLeaf& leaf) const {
  const std::string& own =
      leaf.own_parent.empty() ? own_parent_ : leaf.own_parent;
  if (HasController(h) || absl::StartsWith(leaf.path, own + "/") ||
      leaf.path == own) {
    return leaf.path;
  }
  return absl::StrCat(own, leaf.path.substr(leaf.path.rfind('/')));
}

std::vector<CgroupMount> CgroupV1::Mounts() const {
  std::vector<CgroupMount> mounts;
  for (const V1Hierarchy& h : hierarchies_) {
    mounts.push_back({h.name, h.is_v2 ? "cgroup2" : "cgroup", h.controllers});
  }
  return mounts;
}

absl::Status CgroupV1::Create(const CgroupLeaf& leaf,
                              const Resources& resources,
                              const std::optional<DeviceRules>& devices) {
  const absl::Status status = Build(leaf, resources, devices);
  if (!status.ok()) Delete(leaf, base::Deadline::Never()).IgnoreError();
  return status;
}

absl::Status CgroupV1::Build(const CgroupLeaf& leaf, const Resources& resources,
                             const std::optional<DeviceRules>& devices) {
  ASSIGN_OR_RETURN(const std::vector<ControlValue> values, V1Values(resources));
  RETURN_IF_ERROR(CheckMounted(values));
  for (const V1Hierarchy& h : hierarchies_) {
    const bool cpuset = Has(h, "cpuset");
    ASSIGN_OR_RETURN_IN(const base::UniqueFd directory,
                        h.tree.Make(PathIn(h, leaf),
                                    [&](int parent, int made) -> absl::Status {
                                      if (!cpuset) return absl::OkStatus();
                                      return InheritCpuset(parent, made);
                                    }),
                        absl::StrCat("cgroup hierarchy ", h.name));
    RETURN_IF_ERROR(WriteValues(h, directory.get(), values));
    if (devices.has_value() && Has(h, "devices")) {
      RETURN_IF_ERROR(RestrictDevices(directory.get(), *devices));
    }
  }
  return absl::OkStatus();
}

absl::Status CgroupV1::CheckMounted(
    const std::vector<ControlValue>& values) const {
  for (const ControlValue& v : values) {
    if (v.best_effort || Find(v.controller) != nullptr) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(v.field, ": the host mounts no cgroup controller \"",
                     v.controller, "\", needed for ", v.file));
  }
  return absl::OkStatus();
}

absl::Status CgroupV1::Update(const CgroupLeaf& leaf, const Resources& from,
                              const Resources& to) {
  Resources had = from;
  // What v1 does not have was never written.
  std::erase_if(had.unified,
                [](const auto& entry) { return entry.first != kPidsMax; });
  ASSIGN_OR_RETURN(const auto old_values, V1Values(had));
  ASSIGN_OR_RETURN(const auto new_values, V1Values(to));
  ASSIGN_OR_RETURN(auto changed, ChangedValues(old_values, new_values));
  RETURN_IF_ERROR(CheckMounted(changed));
  std::map<const V1Hierarchy*, base::UniqueFd> directories;
  for (const ControlValue& v : changed) {
    const V1Hierarchy* h = Find(v.controller);
    if (h == nullptr || directories.count(h) != 0) continue;
    ASSIGN_OR_RETURN(directories[h], h->tree.Open(PathIn(*h, leaf)));
  }
  const auto now = [&](const char* controller, const char* file) {
    const auto directory = directories.find(Find(controller));
    return directory == directories.end()
               ? INT64_MAX
               : ReadLimit(directory->second.get(), file);
  };
  OrderV1(now("memory", "memory.memsw.limit_in_bytes"),
          now("cpu", "cpu.cfs_period_us"), &changed);
  std::vector<ControlWrite> writes;
  for (ControlValue& v : changed) {
    const auto directory = directories.find(Find(v.controller));
    if (directory == directories.end()) continue;  // best effort
    if (v.value.empty()) {  // a cpuset: what the parent has
      ASSIGN_OR_RETURN(v.value, base::ReadFileAt(directory->second.get(),
                                                 absl::StrCat("../", v.file)));
    }
    writes.push_back({directory->second.get(), std::move(v)});
  }
  return WriteAllOrNone(writes);
}

absl::StatusOr<CgroupPlacement> CgroupV1::OpenPlacement(
    const CgroupLeaf& leaf) {
  CgroupPlacement placement;
  for (const V1Hierarchy& h : hierarchies_) {
    const std::string directory = PathIn(h, leaf).substr(1);
    if (h.is_v2) {
      ASSIGN_OR_RETURN(placement.v2_dir, base::OpenAt(h.tree.root(), directory,
                                                      O_RDONLY | O_DIRECTORY));
      continue;
    }
    // "tasks", not "cgroup.procs": a process of one thread that writes "0"
    // there moves itself as a whole, and the kernel then does without its
    // lock against all forks and exits of the machine, which costs an RCU
    // grace period, milliseconds, in every hierarchy.
    ASSIGN_OR_RETURN(base::UniqueFd procs,
                     base::OpenAt(h.tree.root(), directory + "/tasks", O_RDWR));
    placement.v1_procs.push_back(std::move(procs));
  }
  return placement;
}

absl::StatusOr<CgroupLeaf> CgroupV1::JoiningLeaf(const CgroupLeaf& leaf,
                                                 pid_t /*first*/) {
  return leaf;
}

absl::StatusOr<base::UniqueFd> CgroupV1::OpenOomFile(const CgroupLeaf& leaf) {
  const V1Hierarchy* memory = Find("memory");
  if (memory == nullptr) return base::UniqueFd();
  return base::OpenAt(memory->tree.root(),
                      PathIn(*memory, leaf).substr(1) + "/memory.oom_control",
                      O_RDONLY);
}

absl::StatusOr<LeafDirectories> CgroupV1::OpenDirectories(
    const CgroupLeaf& leaf) {
  LeafDirectories directories;
  for (const auto& [controller, directory] :
       {std::pair{"cpuacct", &directories.cpuacct},
        {"memory", &directories.memory},
        {"pids", &directories.pids},
        {"blkio", &directories.blkio}}) {
    const V1Hierarchy* h = Find(controller);
    if (h == nullptr) continue;
    ASSIGN_OR_RETURN(*directory, h->tree.Open(PathIn(*h, leaf)));
  }
  return directories;
}

const V1Hierarchy& CgroupV1::Listing() const {
  const V1Hierarchy* freezer = Find("freezer");
  return freezer != nullptr ? *freezer : hierarchies_[0];
}

absl::StatusOr<base::UniqueFd> CgroupV1::OpenProcsFile(const CgroupLeaf& leaf) {
  const V1Hierarchy& h = Listing();
  return base::OpenAt(h.tree.root(),
                      PathIn(h, leaf).substr(1) + "/cgroup.procs", O_RDONLY);
}

absl::StatusOr<std::vector<pid_t>> CgroupV1::Processes(const CgroupLeaf& leaf) {
  const V1Hierarchy& h = Listing();
  return h.tree.Processes(PathIn(h, leaf));
}

void CgroupV1::Freeze(const CgroupLeaf& leaf) const {
  const V1Hierarchy* h = Find("freezer");
  if (h == nullptr) return;
  auto directory = h->tree.Open(PathIn(*h, leaf));
  // lint: allow absence: a kill works without it, if less surely
  if (!directory.ok()) return;
  base::WriteControlAt(directory->get(), "freezer.state", "FROZEN")
      .IgnoreError();
}

absl::Status CgroupV1::Thaw(const CgroupLeaf& leaf) const {
  const V1Hierarchy* h = Find("freezer");
  if (h == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::optional<base::UniqueFd> directory,
                   base::ToLook(h->tree.Open(PathIn(*h, leaf))));
  if (!directory.has_value()) return absl::OkStatus();
  ThawTree(h->tree, PathIn(*h, leaf));
  const auto frozen = FrozenAbove(h->tree, PathIn(*h, leaf));
  if (!frozen.has_value()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the cgroup \"", *frozen, "\" of the hierarchy ", h->name,
                   " is frozen, so that no process below it can die; thaw it "
                   "and try again"));
}

void CgroupV1::KillUnified(const V1Hierarchy& v2,
                           const CgroupLeaf& leaf) const {
  auto directory = v2.tree.Open(PathIn(v2, leaf));
  if (!directory.ok() || IsUnpopulated(directory->get())) return;
  base::WriteControlAt(directory->get(), "cgroup.kill", "1").IgnoreError();
}

// A fork bomb that is frozen cannot outrun the listing.
void CgroupV1::KillFrozen(const CgroupLeaf& leaf) const {
  const V1Hierarchy& h = Listing();
  KillListed(
      [&]() -> absl::StatusOr<std::vector<pid_t>> {
        // Before the listing: what makes and removes cgroups all the time could
        // keep a walk from ever coming to its end.
        Freeze(leaf);
        return h.tree.Processes(PathIn(h, leaf));
      },
      absl::ZeroDuration())
      .IgnoreError();
}

absl::Status CgroupV1::KillAll(const CgroupLeaf& leaf, absl::Duration timeout) {
  const V1Hierarchy* v2 = FindV2();
  if (v2 != nullptr) {
    KillUnified(*v2, leaf);
  } else {
    KillFrozen(leaf);
  }
  const absl::Status thawed = Thaw(leaf);
  // Whatever the kernel, also what has left the v2 leaf.
  const absl::Status killed =
      KillListed([&] { return Processes(leaf); },
                 thawed.ok() ? timeout : absl::ZeroDuration());
  return absl::IsDeadlineExceeded(killed) && !thawed.ok() ? thawed : killed;
}

absl::Status CgroupV1::Delete(const CgroupLeaf& leaf,
                              const base::Deadline& deadline) {
  absl::Status result;
  for (const V1Hierarchy& h : hierarchies_) {
    base::Update(&result,
                 base::Annotate(h.tree.Remove(PathIn(h, leaf), deadline),
                                absl::StrCat("cgroup hierarchy ", h.name)));
  }
  return result;
}

void CgroupV1::DeleteIfEmpty(const std::string& parent) {
  for (const V1Hierarchy& h : hierarchies_) {
    h.tree.RemoveIfEmpty(parent);
  }
}

}  // namespace warren::runtime
