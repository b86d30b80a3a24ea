#include <absl/strings/str_cat.h>

#include "agent/pods/container_manager.h"
#include "agent/pods/pod_sandbox_manager.h"
#include "agent/store/lifecycle.h"
#include "agent/store/record_convert.h"
#include "runtime/base/deadline.h"
#include "runtime/base/status.h"

// The way down of a pod sandbox. Every step may be repeated and works on
// something that is half gone.
namespace warren::agent {

absl::Status PodSandboxManager::Stop(const std::string& id,
                                     const CallContext& call) {
  auto sandbox = store_->FindSandbox(id);
  if (absl::IsNotFound(sandbox.status())) return absl::OkStatus();
  RETURN_IF_ERROR(sandbox.status());
  return StopFound(*sandbox, call);
}

absl::Status PodSandboxManager::StopFound(const PodSandboxPtr& sandbox,
                                          const CallContext& call) {
  const auto visit = sandbox->Visit();
  {
    ASSIGN_OR_RETURN(const OperationLock::Guard guard, sandbox->Lock(call));
    if (sandbox->gone() || sandbox->Get()->stopped) return absl::OkStatus();
    MarkEnded(sandbox);
  }
  // Nothing can start in it any more; no lock is held while they die.
  const absl::Status killed = containers_->KillAll(sandbox->id(), call);
  ASSIGN_OR_RETURN(const OperationLock::Guard guard, sandbox->Lock(call));
  if (sandbox->gone()) return absl::OkStatus();
  return TakeDown(sandbox, killed, call);
}

absl::Status PodSandboxManager::Remove(const std::string& id,
                                       const CallContext& call) {
  auto sandbox = store_->FindSandbox(id);
  if (absl::IsNotFound(sandbox.status())) return absl::OkStatus();
  RETURN_IF_ERROR(sandbox.status());
  const auto visit = (*sandbox)->Visit();
  RETURN_IF_ERROR(StopFound(*sandbox, call));
  RETURN_IF_ERROR(containers_->RemoveAll((*sandbox)->id(), call));
  ASSIGN_OR_RETURN(const OperationLock::Guard guard, (*sandbox)->Lock(call));
  if ((*sandbox)->gone()) return absl::OkStatus();
  return RemoveLocked(*sandbox, call);
}

// The pod's pid namespace died with its first process, and the kernel takes no
// new process into it: for the node the pod has ended, as after an exit.
void PodSandboxManager::OnPodInitExit(const std::string& id) {
  PodSandboxPtr sandbox;
  {
    const base::MutexLock lock(&building_mutex_);
    auto found = store_->FindSandbox(id);
    if (found.ok()) {
      sandbox = *std::move(found);
    } else if (auto b = building_.find(id); b != building_.end()) {
      b->second = true;
    }
  }
  if (sandbox != nullptr) EndByItself(sandbox, kPodInitEnded);
}

void PodSandboxManager::EndByItself(const PodSandboxPtr& sandbox,
                                    const std::string& why) {
  bool was_ready = false;
  const absl::Status ended =
      sandbox->Update(PodSandbox::Write::kFactEvenUnrecorded,
                      [&](PodSandboxState* state) -> absl::Status {
                        was_ready = state->record.phase() == record::RUNNING;
                        if (!was_ready) return absl::OkStatus();
                        state->record.set_ended_because(why);
                        return Advance(&state->record, record::EXITED);
                      });
  store_->Problem(absl::StrCat("record of pod sandbox ", sandbox->id()), ended);
  if (!was_ready) return;
  store_->Problem(absl::StrCat("pod sandbox ", sandbox->id()),
                  absl::FailedPreconditionError(why));
}

void PodSandboxManager::SetPhase(const PodSandboxPtr& sandbox,
                                 record::Phase phase) {
  // The phase changes even where the record cannot be written: stopping must
  // work on a full disk (REL-15). The next start brings an old record up to
  // date.
  store_->Problem(absl::StrCat("record of pod sandbox ", sandbox->id()),
                  sandbox->Update(PodSandbox::Write::kFactEvenUnrecorded,
                                  [&](PodSandboxState* state) {
                                    return Advance(&state->record, phase);
                                  }));
}

absl::Status PodSandboxManager::TearDownNetwork(const PodSandboxPtr& sandbox) {
  const auto state = sandbox->Get();
  if (!state->network.has_value()) return absl::OkStatus();
  RETURN_IF_ERROR_IN(network_->Detach(*state->network,
                                      base::Deadline::After(kNetworkPatience)),
                     "disconnect the pod from the network");
  containers_->reconcile()->Fire({ReconcileKey::Kind::kLinks});
  const auto forget = [](PodSandboxState* next) {
    next->network.reset();
    Put(next->network, &next->record);
    return absl::OkStatus();
  };
  // A record that was never written stays unwritten.
  const bool recorded = HasNetwork(state->record);
  store_->Problem(
      absl::StrCat("record of pod sandbox ", sandbox->id()),
      sandbox->Update(recorded ? PodSandbox::Write::kFactEvenUnrecorded
                               : PodSandbox::Write::kNotInRecord,
                      forget));
  return absl::OkStatus();
}

void PodSandboxManager::MarkEnded(const PodSandboxPtr& sandbox) {
  // From here on no container can be made or started in it.
  if (sandbox->Get()->record.phase() == record::RUNNING) {
    SetPhase(sandbox, record::EXITED);
  }
}

absl::Status PodSandboxManager::StopLocked(const PodSandboxPtr& sandbox,
                                           const CallContext& call) {
  if (sandbox->Get()->stopped) return absl::OkStatus();
  MarkEnded(sandbox);
  return TakeDown(sandbox, containers_->KillAll(sandbox->id(), call), call);
}

absl::Status PodSandboxManager::TakeDown(const PodSandboxPtr& sandbox,
                                         absl::Status result,
                                         const CallContext& call) {
  const auto state = sandbox->Get();
  if (state->stopped) return absl::OkStatus();
  base::Update(&result, TearDownNetwork(sandbox));
  base::Update(&result, base::Annotate(
                            runtime_->StopSandbox(*state->spec, call.deadline),
                            "drop the namespaces of the pod"));
  if (!result.ok()) return result;
  // The last process and the namespace itself are gone. Files that the pod
  // made in its own root carry no id of the node (idmapped), or lie below a
  // directory that no other pod gets (chowned).
  GiveIdsBack(sandbox);
  return sandbox->Update(PodSandbox::Write::kNotInRecord,
                         [](PodSandboxState* next) {
                           next->stopped = true;
                           return absl::OkStatus();
                         });
}

absl::Status PodSandboxManager::RemoveLocked(const PodSandboxPtr& sandbox,
                                             const CallContext& call) {
  RETURN_IF_ERROR(StopLocked(sandbox, call));
  RETURN_IF_ERROR(containers_->RemoveAll(sandbox->id(), call));
  SetPhase(sandbox, record::REMOVING);
  RETURN_IF_ERROR_IN(
      runtime_->RemoveSandbox(*sandbox->Get()->spec, call.deadline),
      "remove the pod sandbox");
  return store_->Erase(sandbox);
}

absl::Status PodSandboxManager::UpdateResources(
    const cri::UpdatePodSandboxResourcesRequest& request,
    const CallContext& call) {
  ASSIGN_OR_RETURN(const PodSandboxPtr sandbox,
                   store_->FindSandbox(request.pod_sandbox_id()));
  ASSIGN_OR_RETURN(const OperationLock::Guard guard, sandbox->Lock(call));
  if (sandbox->gone()) {
    return absl::NotFoundError("the pod sandbox was removed meanwhile");
  }
  return sandbox->Update(
      PodSandbox::Write::kRecordedOrNothing, [&](PodSandboxState* state) {
        if (request.has_overhead()) {
          *state->record.mutable_overhead() = request.overhead();
        }
        if (request.has_resources()) {
          *state->record.mutable_resources() = request.resources();
        }
        return absl::OkStatus();
      });
}

}  // namespace warren::agent
