#include <absl/strings/str_cat.h>

#include <memory>
#include <utility>

#include "agent/convert/convert.h"
#include "agent/pods/pod_sandbox_manager.h"
#include "runtime/base/status.h"

// Ids on the node of a pod's user namespace, from the first step of its
// making to the moment when none of its processes is left.
namespace warren::agent {

absl::Status PodSandboxManager::TakeIds(const PodSandboxPtr& sandbox,
                                        base::UndoStack* undo) {
  const auto state = sandbox->Get();
  const cri::PodSandboxConfig& config = state->record.config();
  const auto give_back = [this, sandbox] {
    GiveIdsBack(sandbox);
    return absl::OkStatus();
  };
  if (!state->spec->uid_mappings.empty()) {
    RETURN_IF_ERROR(userns_pool_.Claim(sandbox->id(), state->spec->uid_mappings,
                                       state->spec->gid_mappings));
    undo->Push("give the pod's ids back", give_back);
    return absl::OkStatus();
  }
  if (!policy_.grant_ids || !CanBeGrantedIds(config)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const runtime::IdMapping granted,
                   userns_pool_.Grant(sandbox->id()));
  undo->Push("give the pod's ids back", give_back);
  // Converted again, because more follows from a user namespace than ids.
  ASSIGN_OR_RETURN(runtime::SandboxSpec spec,
                   ConvertSandbox(sandbox->id(), config,
                                  ReadHostFacts(*clock_, policy_), granted));
  RETURN_IF_ERROR(runtime_->ResolveSandbox(&spec, {}));
  // Not written here: the intent that follows is, before anything is made.
  return sandbox->Update(
      PodSandbox::Write::kNotInRecord, [&](PodSandboxState* next) {
        next->spec =
            std::make_shared<const runtime::SandboxSpec>(std::move(spec));
        record::IdRange* range = next->record.mutable_granted_ids();
        range->set_start(granted.host_id);
        range->set_length(granted.length);
        return absl::OkStatus();
      });
}

void PodSandboxManager::RestoreIds(const PodSandboxPtr& sandbox) {
  const auto state = sandbox->Get();
  userns_pool_.Restore(sandbox->id(), *state->spec,
                       state->record.has_granted_ids());
}

// The record keeps saying which ids they were, so that a restart sees the
// spec as it was; whether they are taken follows from the phase.
void PodSandboxManager::GiveIdsBack(const PodSandboxPtr& sandbox) {
  userns_pool_.Release(sandbox->id());
}

}  // namespace warren::agent
