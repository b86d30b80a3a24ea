#ifndef WARREN_RUNTIME_CGROUP_V2_H_
#define WARREN_RUNTIME_CGROUP_V2_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/cgroup/driver.h"
#include "runtime/cgroup/tree.h"

namespace warren::runtime {

// The unified tree. Controllers are switched on in every cgroup.subtree_control
// from the root down to the leaf's parent, as many as that level offers.
class CgroupV2 : public CgroupDriver {
 public:
  // `root`: the mount point, O_PATH. Any directory will do for tests of the
  // logic: control files that are missing are then errors of the caller.
  // `filter_devices`: see CanFilterDevices(). `nsdelegate`: an option of the
  // mount, without which new leaves have an inner cgroup.
  explicit CgroupV2(base::UniqueFd root, bool filter_devices = false,
                    bool nsdelegate = true)
      : tree_(std::move(root)),
        filter_devices_(filter_devices),
        nsdelegate_(nsdelegate) {}

  bool IsV2() const override { return true; }
  bool ControlsDevices() const override { return filter_devices_; }
  std::vector<CgroupMount> Mounts() const override;
  std::string InnerName() const override {
    return nsdelegate_ ? "" : kInnerName;
  }
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
  absl::Status Build(const CgroupLeaf& leaf, const Resources& resources,
                     const std::optional<DeviceRules>& devices);
  // The inner cgroup below the leaf `outer`: limits passed on, and the copy.
  absl::Status BuildInner(const CgroupLeaf& leaf, int outer,
                          const std::vector<ControlValue>& values);
  absl::Status EnableControllers(const std::string& path);

  const CgroupTree tree_;
  const bool filter_devices_;
  const bool nsdelegate_;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_CGROUP_V2_H_
