#ifndef WARREN_RUNTIME_CGROUP_V1_H_
#define WARREN_RUNTIME_CGROUP_V1_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/mountinfo.h"
#include "runtime/cgroup/driver.h"
#include "runtime/cgroup/tree.h"

namespace warren::runtime {

// One mounted hierarchy of a v1 (or hybrid) machine.
struct V1Hierarchy {
  std::string name;  // directory below /sys/fs/cgroup: "cpu,cpuacct"
  // {"cpu", "cpuacct"}; a named hierarchy: {"name=systemd"}; the v2 tree of a
  // hybrid machine: none.
  std::vector<std::string> controllers;
  bool is_v2 = false;
  CgroupTree tree;

  bool Has(absl::string_view controller) const;
  // Whether a leaf has limits or rules here, and so an inner cgroup.
  bool CarriesLimits() const;
};

// Hierarchies mounted right below `root`, each once.
absl::StatusOr<std::vector<V1Hierarchy>> FindV1Hierarchies(
    const std::string& root, const std::vector<base::MountEntry>& mounts);

// The same leaf in every hierarchy. Those without a controller (named ones,
// the v2 tree) are unknown to a kubelet, which would never remove a pod's
// directory there: leaves in them always go below our own parent. The v2 tree
// of a hybrid machine gives CLONE_INTO_CGROUP, cgroup.kill and "populated".
// Inner cgroups are only where limits are.
class CgroupV1 : public CgroupDriver {
 public:
  CgroupV1(std::vector<V1Hierarchy> hierarchies, std::string own_parent)
      : hierarchies_(std::move(hierarchies)),
        own_parent_(std::move(own_parent)) {}

  bool IsV2() const override { return false; }
  bool ControlsDevices() const override { return Find("devices") != nullptr; }
  std::vector<CgroupMount> Mounts() const override;
  std::string InnerName() const override { return kInnerName; }
  absl::Status Create(const CgroupLeaf& leaf, const Resources& resources,
                      const std::optional<DeviceRules>& devices) override;
  absl::Status Update(const CgroupLeaf& leaf, const Resources& from,
                      const Resources& to) override;
  absl::StatusOr<CgroupPlacement> OpenPlacement(
      const CgroupLeaf& leaf) override;
  absl::StatusOr<CgroupLeaf> JoiningLeaf(const CgroupLeaf& leaf,
                                         pid_t first) override;
  absl::StatusOr<base::UniqueFd> OpenOomFile(const CgroupLeaf& leaf) override;
  absl::StatusOr<bool> HadOomKill(const CgroupLeaf& leaf,
                                  const base::Deadline& deadline) override;
  absl::StatusOr<LeafDirectories> OpenDirectories(
      const CgroupLeaf& leaf) override;
  absl::StatusOr<base::UniqueFd> OpenProcsFile(const CgroupLeaf& leaf) override;
  absl::StatusOr<std::vector<pid_t>> Processes(const CgroupLeaf& leaf) override;
  absl::Status KillAll(const CgroupLeaf& leaf, absl::Duration timeout) override;
  absl::Status Delete(const CgroupLeaf& leaf,
                      const base::Deadline& deadline) override;
  void DeleteIfEmpty(const std::string& parent) override;

 private:
  // nullptr when no such controller is mounted.
  const V1Hierarchy* Find(absl::string_view controller) const;
  const V1Hierarchy* FindV2() const;
  // The one whose lists of processes are believed: only a freezer can hold
  // them still.
  const V1Hierarchy& Listing() const;
  // Where the leaf is in that hierarchy.
  std::string PathIn(const V1Hierarchy& hierarchy,
                     const CgroupLeaf& leaf) const;
  // Where its programs are in that hierarchy.
  std::string ProgramsIn(const V1Hierarchy& hierarchy,
                         const CgroupLeaf& leaf) const;

  // ---- v1_limits.cc ----
  absl::Status Build(const CgroupLeaf& leaf, const Resources& resources,
                     const std::optional<DeviceRules>& devices);
  // Makes the leaf in one hierarchy, and its inner cgroup.
  absl::Status BuildIn(const V1Hierarchy& hierarchy, const CgroupLeaf& leaf,
                       const std::vector<ControlValue>& values,
                       const std::optional<DeviceRules>& devices) const;
  // kFailedPrecondition when a value's controller is not mounted.
  absl::Status CheckMounted(const std::vector<ControlValue>& values) const;

  // ---- v1.cc ----
  // One round of SIGKILL to all in the leaf and below it, by cgroup.kill of the
  // v2 tree, or with all of it frozen. Wait for nothing.
  void KillUnified(const V1Hierarchy& v2, const CgroupLeaf& leaf) const;
  void KillFrozen(const CgroupLeaf& leaf) const;
  // Lets frozen processes run, so that they can die; also those of cgroups
  // below. kFailedPrecondition names a frozen cgroup above the leaf, which is
  // not ours to thaw.
  absl::Status Thaw(const CgroupLeaf& leaf) const;
  void Freeze(const CgroupLeaf& leaf) const;

  const std::vector<V1Hierarchy> hierarchies_;
  const std::string own_parent_;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_CGROUP_V1_H_
