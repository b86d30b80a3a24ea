#include "runtime/launch/shim_place.h"

#include <cerrno>
#include <optional>

#include "runtime/base/look.h"
#include "runtime/base/status.h"

namespace warren::runtime {
namespace {

constexpr char kName[] = "shims";
// A cgroup can be removed with the last pod of the node while a new one comes:
// each attempt needs another last pod.
constexpr int kAttempts = 8;

}  // namespace

absl::StatusOr<ShimPlace> ShimPlace::Below(const std::string& parent,
                                           CgroupDriver* driver) {
  CgroupLeaf leaf;
  ASSIGN_OR_RETURN(leaf.path, CgroupPath("", parent, kName));
  leaf.own_parent = parent;
  return ShimPlace(std::move(leaf), driver);
}

absl::StatusOr<base::Child> ShimPlace::TrySpawn(
    base::SpawnOptions* options) const {
  auto placement = driver_->OpenPlacement(leaf_);
  if (base::ProvesAbsence(placement.status())) {
    RETURN_IF_ERROR(driver_->Create(leaf_, Resources(), std::nullopt));
    placement = driver_->OpenPlacement(leaf_);
  }
  RETURN_IF_ERROR(placement.status());
  options->cgroup = placement->v2_dir.get();
  options->cgroup_tasks.clear();
  for (const base::UniqueFd& tasks : placement->v1_procs) {
    options->cgroup_tasks.push_back(tasks.get());
  }
  return base::Spawn(*options);
}

absl::StatusOr<base::Child> ShimPlace::Spawn(base::SpawnOptions options) const {
  for (int attempt = 1;; ++attempt) {
    auto child = TrySpawn(&options);
    if (child.ok()) return child;
    const int error = base::GetErrno(child.status());
    if (attempt == kAttempts || (error != ENOENT && error != ENODEV)) {
      return base::Annotate(child.status(), "cgroup of the shims");
    }
  }
}

}  // namespace warren::runtime
