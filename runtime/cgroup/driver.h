#ifndef WARREN_RUNTIME_CGROUP_DRIVER_H_
#define WARREN_RUNTIME_CGROUP_DRIVER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/deadline.h"
#include "runtime/base/unique_fd.h"
#include "runtime/devices/rules.h"
#include "runtime/runtime.h"

// Control groups: one leaf for each container and each pod init. Two
// drivers, cgroup v2 (one tree) and v1 (a tree for each mounted hierarchy);
// which one is what the machine mounts (cgroups(7), kernel documents
// admin-guide/cgroup-v1 and cgroup-v2).
//
// A leaf's path, made by CgroupPath(), is below the root(s). Limits are written
// to leaves only, never to a parent. A leaf with an inner cgroup
// (CgroupLeaf::inner) has programs in that one: it is the root of their cgroup
// namespace, whose files they may write to, and has a copy of the limits.
namespace warren::runtime {

// What a new process needs to be born inside a leaf (EXE-10).
struct CgroupPlacement {
  base::UniqueFd v2_dir;                 // for CLONE_INTO_CGROUP
  std::vector<base::UniqueFd> v1_procs;  // "tasks" of each, for "0" only
};

// One cgroup file system as a container sees it below /sys/fs/cgroup.
struct CgroupMount {
  std::string name;     // directory, "" = /sys/fs/cgroup itself
  std::string fs_type;  // "cgroup" or "cgroup2"
  std::vector<std::string> options;
  bool operator==(const CgroupMount&) const = default;
};

// Where the figures of a leaf are read.
struct LeafDirectories {
  base::UniqueFd unified;  // v2; then the others are invalid
  // v1: in the hierarchy of the controller of that name; invalid where none is
  // mounted.
  base::UniqueFd cpuacct;
  base::UniqueFd memory;
  base::UniqueFd pids;
  base::UniqueFd blkio;
  // Also of memory: where kills are counted. v1 counts them where the victim
  // was, which is not the leaf when it has an inner cgroup.
  base::UniqueFd victims;
};

// Thread-safe; calls on one leaf are serialised by the caller.
class CgroupDriver {
 public:
  virtual ~CgroupDriver() = default;

  virtual bool IsV2() const = 0;
  // Whether Create can deny devices (v1's devices controller, v2's device
  // filter). Where it cannot, the mount planner closes that door with nodev
  // mounts.
  virtual bool ControlsDevices() const = 0;
  virtual std::vector<CgroupMount> Mounts() const = 0;
  // CgroupLeaf::inner of a new container. "" where the kernel itself refuses
  // writes to the root of a cgroup namespace from inside (v2: nsdelegate).
  virtual std::string InnerName() const = 0;

  // Makes the leaf and what is missing above it and writes the limits, to the
  // inner cgroup as well. With
  // `devices` nothing but what these rules allow can be opened or made in it;
  // nullopt: what the cgroups above allow. An existing empty leaf is taken
  // over. Nothing is left of the leaf on failure.
  virtual absl::Status Create(const CgroupLeaf& leaf,
                              const Resources& resources,
                              const std::optional<DeviceRules>& devices) = 0;
  // Brings a leaf from the limits of `from` to those of `to`, all or nothing:
  // writes only what differs, and puts the values of before back when one is
  // refused. A limit that only `from` has goes back to the kernel's default.
  // The inner cgroup is brought along; what a program wrote there is no
  // obstacle. Errors as WriteAllOrNone() (update.h), nothing was written then.
  virtual absl::Status Update(const CgroupLeaf& leaf, const Resources& from,
                              const Resources& to) = 0;
  virtual absl::StatusOr<CgroupPlacement> OpenPlacement(
      const CgroupLeaf& leaf) = 0;
  // Where a program is to be born that joins the container whose first process
  // is `first`: the leaf; on v2 the cgroup below it that `first` is in, when
  // the cgroup of the programs passes controllers on. Such a cgroup takes no
  // processes (EBUSY), and a container that is privileged may arrange itself
  // so.
  virtual absl::StatusOr<CgroupLeaf> JoiningLeaf(const CgroupLeaf& leaf,
                                                 pid_t first) = 0;
  // v2 memory.events of the leaf, v1 memory.oom_control of the programs'
  // cgroup; an invalid descriptor when there is no memory controller.
  virtual absl::StatusOr<base::UniqueFd> OpenOomFile(
      const CgroupLeaf& leaf) = 0;
  // Whether the kernel killed a process in the leaf or below it for want of
  // memory since it was made; what was counted in a cgroup that is gone is not
  // seen on v1. Nothing where there is no leaf. kDeadlineExceeded when there
  // are too many cgroups to look at.
  virtual absl::StatusOr<bool> HadOomKill(const CgroupLeaf& leaf,
                                          const base::Deadline& deadline) = 0;
  // For LeafSampler::Open(). errno ENOENT when the leaf is not there.
  virtual absl::StatusOr<LeafDirectories> OpenDirectories(
      const CgroupLeaf& leaf) = 0;
  // cgroup.procs of the programs' cgroup, read only.
  virtual absl::StatusOr<base::UniqueFd> OpenProcsFile(
      const CgroupLeaf& leaf) = 0;
  // Of the leaf and all cgroups below it; empty when it is gone.
  virtual absl::StatusOr<std::vector<pid_t>> Processes(
      const CgroupLeaf& leaf) = 0;
  // SIGKILL to everything in the leaf and below it, again and again until it
  // is empty; what is frozen in it is thawed. kDeadlineExceeded when something
  // is left after `timeout`; with a timeout of zero the signals are sent all
  // the same. kFailedPrecondition, at once, names a cgroup above the leaf that
  // is frozen (v1 alone: no process below such a cgroup dies); the signals were
  // sent, and what got them dies once that is thawed. A missing leaf is OK.
  // Where there was something to kill, the leaf must not be used again but be
  // made anew: Linux 6.14 and later kill whatever is cloned into a cgroup
  // (CLONE_INTO_CGROUP) whose cgroup.kill was written before, because fork
  // compares its count of kills with that of the parent's cgroup (seen
  // on 6.18).
  virtual absl::Status KillAll(const CgroupLeaf& leaf,
                               absl::Duration timeout) = 0;
  // Removes the leaf and cgroups made below it, of which a container may have
  // made any number. It must be empty; a missing leaf is OK. What went before
  // `deadline` is gone for good.
  virtual absl::Status Delete(const CgroupLeaf& leaf,
                              const base::Deadline& deadline) = 0;
  // Removes a parent if nothing is in it; says nothing otherwise.
  virtual void DeleteIfEmpty(const std::string& parent) = 0;
};

// The driver for what is mounted at `root` (normally /sys/fs/cgroup) according
// to `mountinfo` (the text of /proc/self/mountinfo). `own_parent`: where
// hierarchies go that no kubelet knows of (CgroupV1), for a leaf that does not
// say it.
// kFailedPrecondition: no cgroups are mounted there.
absl::StatusOr<std::unique_ptr<CgroupDriver>> MakeCgroupDriver(
    const std::string& root, absl::string_view mountinfo,
    const std::string& own_parent);

// ---- Pure -------------------------------------------------------------------

// The name of inner cgroups. Recorded with each leaf, so it may change.
inline constexpr char kInnerName[] = "container";

// Where the programs of a leaf are: `path` of the leaf, or its inner cgroup.
std::string ProgramsPath(const CgroupLeaf& leaf);

// Path of the leaf of `id` below a parent as CRI gives it: "" = the default
// parent; "…/x.slice" (systemd spelling) is expanded from its last element,
// "a-b.slice" -> "/a.slice/a-b.slice", and the leaf is warren-<id>.scope.
// kInvalidArgument names cgroup_parent: "..", NUL, empty or odd elements.
absl::StatusOr<std::string> CgroupPath(absl::string_view parent,
                                       absl::string_view default_parent,
                                       absl::string_view id);
// The parent part of the same.
absl::StatusOr<std::string> CgroupParentPath(absl::string_view parent,
                                             absl::string_view default_parent);

// cpu.shares (2..262144) to cpu.weight (1..10000) as runc and crun do since
// 2025: 1024 -> 100. 0 = not asked for.
uint64_t CpuWeightFromShares(int64_t shares);

// A limit as a control file wants it.
struct ControlValue {
  std::string controller;  // "memory"; names the hierarchy on v1
  std::string file;        // "memory.limit_in_bytes"
  std::string value;
  std::string field;  // of CRI's LinuxContainerResources, for messages
  // A missing file or controller is no error: swap accounting that nobody
  // asked for by name, huge pages of a size the node does not have.
  bool best_effort = false;
  bool operator==(const ControlValue&) const = default;
};

// Each file once, in an order that a new leaf accepts. Swap that is not given
// is none: memory plus swap equals the memory limit. `unified` comes last and
// replaces what was converted.
//
// kInvalidArgument names the field: swap below the memory limit or without
// one, the size of a huge page, a key of `unified` that is no file of a
// controller. kFailedPrecondition: `unified` on v1, which has no such files but
// kPidsMax.
inline constexpr char kPidsMax[] = "pids.max";
absl::StatusOr<std::vector<ControlValue>> V2Values(const Resources& resources);
absl::StatusOr<std::vector<ControlValue>> V1Values(const Resources& resources);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_CGROUP_DRIVER_H_
