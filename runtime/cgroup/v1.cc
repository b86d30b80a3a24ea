#include "runtime/cgroup/v1.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <optional>

#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/freezer.h"
#include "runtime/cgroup/oom_kills.h"

namespace warren::runtime {
namespace {

// A file system's options name its controllers among other things.
constexpr std::array<absl::string_view, 15> kControllers = {
    "cpu",      "cpuacct",    "cpuset", "memory",  "devices",
    "freezer",  "blkio",      "pids",   "hugetlb", "net_cls",
    "net_prio", "perf_event", "rdma",   "misc",    "debug"};
// Those with a limit or a rule of ours (V1Values, RulesFor).
constexpr std::array<absl::string_view, 6> kLimiting = {
    "cpu", "cpuset", "memory", "devices", "pids", "hugetlb"};

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

}  // namespace

bool V1Hierarchy::Has(absl::string_view controller) const {
  return std::find(controllers.begin(), controllers.end(), controller) !=
         controllers.end();
}

bool V1Hierarchy::CarriesLimits() const {
  return std::any_of(kLimiting.begin(), kLimiting.end(),
                     [&](absl::string_view name) { return Has(name); });
}

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
    if (h.Has(controller)) return &h;
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

std::string CgroupV1::ProgramsIn(const V1Hierarchy& h,
                                 const CgroupLeaf& leaf) const {
  const std::string path = PathIn(h, leaf);
  if (leaf.inner.empty() || !h.CarriesLimits()) return path;
  return absl::StrCat(path, "/", leaf.inner);
}

std::vector<CgroupMount> CgroupV1::Mounts() const {
  std::vector<CgroupMount> mounts;
  for (const V1Hierarchy& h : hierarchies_) {
    mounts.push_back({h.name, h.is_v2 ? "cgroup2" : "cgroup", h.controllers});
  }
  return mounts;
}

absl::StatusOr<CgroupPlacement> CgroupV1::OpenPlacement(
    const CgroupLeaf& leaf) {
  CgroupPlacement placement;
  for (const V1Hierarchy& h : hierarchies_) {
    const std::string directory = ProgramsIn(h, leaf).substr(1);
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
  return base::OpenAt(
      memory->tree.root(),
      ProgramsIn(*memory, leaf).substr(1) + "/memory.oom_control", O_RDONLY);
}

absl::StatusOr<bool> CgroupV1::HadOomKill(const CgroupLeaf& leaf,
                                          const base::Deadline& deadline) {
  const V1Hierarchy* memory = Find("memory");
  if (memory == nullptr) return false;
  return SaysOomKillBelow(memory->tree, PathIn(*memory, leaf), deadline);
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
  if (const V1Hierarchy* memory = Find("memory"); memory != nullptr) {
    ASSIGN_OR_RETURN(directories.victims,
                     memory->tree.Open(ProgramsIn(*memory, leaf)));
  }
  return directories;
}

const V1Hierarchy& CgroupV1::Listing() const {
  const V1Hierarchy* freezer = Find("freezer");
  return freezer != nullptr ? *freezer : hierarchies_[0];
}

absl::StatusOr<base::UniqueFd> CgroupV1::OpenProcsFile(const CgroupLeaf& leaf) {
  const V1Hierarchy& h = Listing();
  return base::OpenAt(
      h.tree.root(), ProgramsIn(h, leaf).substr(1) + "/cgroup.procs", O_RDONLY);
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
    // The usual case, without a look at what is there.
    if (!leaf.inner.empty()) h.tree.RemoveIfEmpty(ProgramsIn(h, leaf));
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
