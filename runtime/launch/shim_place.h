#ifndef WARREN_RUNTIME_LAUNCH_SHIM_PLACE_H_
#define WARREN_RUNTIME_LAUNCH_SHIM_PLACE_H_

#include <absl/status/statusor.h>

#include <string>
#include <utility>

#include "runtime/base/process.h"
#include "runtime/cgroup/driver.h"

// The cgroup of all shims, beside those of the pods: `<cgroup_parent>/shims`,
// or warren-shims.scope in a slice. Apart from the agent's own, because what a
// shim writes to a log is counted where the shim is: the page cache of all logs
// would count against the agent's memory limit. And never below the agent's
// unit, which systemd could not start again while a shim lives there.
namespace warren::runtime {

// Thread-safe.
class ShimPlace {
 public:
  // The cgroup below `parent`, a path as CgroupParentPath() makes them.
  // `driver` is borrowed. Nothing is made yet.
  static absl::StatusOr<ShimPlace> Below(const std::string& parent,
                                         CgroupDriver* driver);

  // base::Spawn() of a program that is in the cgroup from its start. Makes the
  // cgroup where it is missing. An agent that is killed meanwhile leaves no
  // program elsewhere.
  absl::StatusOr<base::Child> Spawn(base::SpawnOptions options) const;

  // Removes the cgroup unless something is in it; a start that comes between
  // makes it anew.
  void RemoveIfEmpty() const { driver_->DeleteIfEmpty(leaf_.path); }

 private:
  ShimPlace(CgroupLeaf leaf, CgroupDriver* driver)
      : leaf_(std::move(leaf)), driver_(driver) {}
  absl::StatusOr<base::Child> TrySpawn(base::SpawnOptions* options) const;

  CgroupLeaf leaf_;
  CgroupDriver* driver_;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_LAUNCH_SHIM_PLACE_H_
