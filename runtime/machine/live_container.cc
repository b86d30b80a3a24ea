#include "runtime/machine/live_container.h"

#include <absl/strings/str_cat.h>

namespace warren::runtime {

absl::Status LiveContainer::AwaitExitRead(const base::Deadline& deadline) {
  const base::MutexLock lock(&mutex);
  while (running) {
    if (absl::Status status = deadline.Check(); !status.ok()) return status;
    ended.Wait(&mutex, deadline);
  }
  return absl::OkStatus();
}

absl::StatusOr<LiveContainerPtr> ContainerTable::Find(
    const std::string& id) const {
  LiveContainerPtr found = FindIfThere(id);
  if (found != nullptr) return found;
  return absl::FailedPreconditionError(
      absl::StrCat("container \"", id, "\" is not prepared"));
}

LiveContainerPtr ContainerTable::FindIfThere(const std::string& id) const {
  const base::MutexLock lock(&mutex_);
  const auto found = containers_.find(id);
  return found == containers_.end() ? nullptr : found->second;
}

std::vector<LiveContainerPtr> ContainerTable::OfPod(
    const std::string& sandbox_id) const {
  std::vector<LiveContainerPtr> members;
  const base::MutexLock lock(&mutex_);
  for (const auto& [id, container] : containers_) {
    if (container->spec.sandbox.id == sandbox_id) members.push_back(container);
  }
  return members;
}

void ContainerTable::Put(LiveContainerPtr container) {
  const base::MutexLock lock(&mutex_);
  containers_[container->spec.id] = std::move(container);
}

void ContainerTable::Erase(const std::string& id) {
  const base::MutexLock lock(&mutex_);
  containers_.erase(id);
}

}  // namespace warren::runtime
