#include <absl/strings/str_cat.h>

#include <memory>
#include <utility>

#include "agent/convert/convert.h"
#include "agent/cri/validate.h"
#include "agent/pods/container_manager.h"
#include "agent/store/lifecycle.h"
#include "agent/store/record_specs.h"
#include "runtime/base/status.h"

// UpdateContainerResources. The record tells a crash half-way:
//
//   intent  pending_resources = what the cgroup may have from now on
//   kernel  all or nothing
//   result  config.linux.resources = the same, pending_resources cleared
//
// An agent that finds an intent takes it back, see SettleUpdate().
namespace warren::agent {
namespace {

// Zero and empty fields of `update` leave what is there. Swap that is not
// named follows a new memory limit. oom_score_adj is not changed by updates:
// it belongs to processes, and a kubelet sends it with every one.
cri::LinuxContainerResources Merge(const cri::LinuxContainerResources& current,
                                   const cri::LinuxContainerResources& update) {
  cri::LinuxContainerResources out = current;
  if (update.cpu_period() != 0) out.set_cpu_period(update.cpu_period());
  if (update.cpu_quota() != 0) out.set_cpu_quota(update.cpu_quota());
  if (update.cpu_shares() != 0) out.set_cpu_shares(update.cpu_shares());
  if (update.memory_limit_in_bytes() != 0) {
    out.set_memory_limit_in_bytes(update.memory_limit_in_bytes());
    out.clear_memory_swap_limit_in_bytes();
  }
  if (update.memory_swap_limit_in_bytes() != 0) {
    out.set_memory_swap_limit_in_bytes(update.memory_swap_limit_in_bytes());
  }
  if (!update.cpuset_cpus().empty()) out.set_cpuset_cpus(update.cpuset_cpus());
  if (!update.cpuset_mems().empty()) out.set_cpuset_mems(update.cpuset_mems());
  for (const cri::HugepageLimit& limit : update.hugepage_limits()) {
    cri::HugepageLimit* known = nullptr;
    for (cri::HugepageLimit& have : *out.mutable_hugepage_limits()) {
      if (have.page_size() == limit.page_size()) known = &have;
    }
    if (known == nullptr) known = out.add_hugepage_limits();
    *known = limit;
  }
  for (const auto& [file, value] : update.unified()) {
    (*out.mutable_unified())[file] = value;
  }
  return out;
}

absl::Status CheckUpdatable(const record::ContainerRecord& record) {
  const cri::ContainerState state = PublicState(record);
  if (state == cri::CONTAINER_CREATED || state == cri::CONTAINER_RUNNING) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("the container is ", cri::ContainerState_Name(state),
                   ", only limits of a created or running one can be updated"));
}

// What no update changes stays as it was resolved.
absl::StatusOr<runtime::Resources> NewLimits(
    const cri::LinuxContainerResources& resources,
    const runtime::Resources& old_limits) {
  ASSIGN_OR_RETURN(runtime::Resources limits,
                   ConvertResources("linux", resources));
  limits.oom_score_adj = old_limits.oom_score_adj;
  limits.pids_limit = old_limits.pids_limit;
  return limits;
}

absl::Status ClearIntent(ContainerState* state) {
  state->record.clear_pending_resources();
  return absl::OkStatus();
}

absl::Status Commit(const cri::LinuxContainerResources& resources,
                    const runtime::Resources& limits, ContainerState* state) {
  *state->record.mutable_config()->mutable_linux()->mutable_resources() =
      resources;
  runtime::ContainerSpec spec = *state->spec;
  spec.resources = limits;
  Put(spec, &state->record);
  state->spec = std::make_shared<const runtime::ContainerSpec>(std::move(spec));
  return ClearIntent(state);
}

}  // namespace

absl::Status ContainerManager::UpdateResources(
    const cri::UpdateContainerResourcesRequest& request,
    const CallContext& call) {
  ASSIGN_OR_RETURN(const ContainerPtr container,
                   store_->FindContainer(request.container_id()));
  RETURN_IF_ERROR(CheckMemoryFloor("linux", request.linux()));
  // Annotations could only be options of an update, and there are none.
  if (!request.annotations().empty()) {
    return Invalid("annotations", "no option of an update is known");
  }
  ASSIGN_OR_RETURN(const OperationLock::Guard guard, container->Lock(call));
  if (container->gone()) {
    return absl::NotFoundError("the container was removed meanwhile");
  }
  // What the cgroup has is known only once an earlier update is settled.
  RETURN_IF_ERROR(SettleUpdate(container, call.deadline));
  const auto before = container->Get();
  RETURN_IF_ERROR(CheckUpdatable(before->record));
  const cri::LinuxContainerResources merged =
      Merge(before->record.config().linux().resources(), request.linux());
  ASSIGN_OR_RETURN(runtime::Resources limits,
                   NewLimits(merged, before->spec->resources));
  RETURN_IF_ERROR(container->Update(
      Container::Write::kRecordedOrNothing, [&](ContainerState* state) {
        *state->record.mutable_pending_resources() = merged;
        return absl::OkStatus();
      }));
  const runtime::Resources& old_limits = before->spec->resources;
  absl::Status status = runtime_->UpdateResources(container->id(), old_limits,
                                                  limits, call.deadline);
  if (status.ok()) {
    status = container->Update(
        Container::Write::kRecordedOrNothing,
        [&](ContainerState* state) { return Commit(merged, limits, state); });
    if (status.ok()) return status;
    store_->Problem(
        absl::StrCat("take an update of container ", container->id(), " back"),
        runtime_->UpdateResources(container->id(), limits, old_limits,
                                  base::Deadline::Never()));
  }
  store_->Problem(
      absl::StrCat("record of container ", container->id()),
      container->Update(Container::Write::kFactEvenUnrecorded, ClearIntent));
  return base::Annotate(status, "update resources");
}

absl::Status ContainerManager::SettleUpdate(const ContainerPtr& container,
                                            const base::Deadline& deadline) {
  const auto state = container->Get();
  if (!state->record.has_pending_resources()) return absl::OkStatus();
  if (!CheckUpdatable(state->record).ok()) {
    return container->Update(Container::Write::kFactEvenUnrecorded,
                             ClearIntent);
  }
  const cri::LinuxContainerResources& pending =
      state->record.pending_resources();
  const runtime::Resources& old_limits = state->spec->resources;
  ASSIGN_OR_RETURN(runtime::Resources limits, NewLimits(pending, old_limits));
  const absl::Status back =
      runtime_->UpdateResources(container->id(), limits, old_limits, deadline);
  if (back.ok()) {
    return container->Update(Container::Write::kFactEvenUnrecorded,
                             ClearIntent);
  }
  // More may be in use by now than the old limits allow. Then the update is
  // completed.
  if (!runtime_->UpdateResources(container->id(), old_limits, limits, deadline)
           .ok()) {
    return back;  // the intent stays, for the next agent
  }
  return container->Update(
      Container::Write::kFactEvenUnrecorded,
      [&](ContainerState* next) { return Commit(pending, limits, next); });
}

}  // namespace warren::agent
