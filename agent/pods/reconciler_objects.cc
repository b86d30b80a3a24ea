#include <absl/strings/str_cat.h>

#include <atomic>
#include <utility>

#include "agent/pods/reconciler.h"
#include "agent/store/record_convert.h"
#include "runtime/base/deadline.h"

// The steps of the reconcile loop for objects with a record, one object at a
// time and with its lock.
namespace warren::agent {
namespace {

// How long one look waits for the death of what was sent SIGKILL. The turn of
// the container is held meanwhile.
constexpr absl::Duration kDeathPatience = absl::Milliseconds(500);

// What cannot be removed is shown, so that somebody else can try (REL-7).
template <typename Object>
void Reveal(Object* object) {
  object
      ->Update(Object::Write::kNotInRecord,
               [](auto* next) {
                 next->withdrawn = false;
                 return absl::OkStatus();
               })
      .IgnoreError();  // nothing is written
}

}  // namespace

ReconcileAction Reconciler::PlanFor(const ContainerPtr& container) const {
  ReconcileInput input;
  input.boot_id = store_->boot_id();
  input.containers.push_back(container->Get()->record);
  const std::string& pod_id = input.containers[0].sandbox_id();
  // Asked first: a record that is read late is published, then known.
  const bool unknown = store_->IsUnknown(pod_id);
  if (auto pod = store_->FindSandbox(pod_id); pod.ok()) {
    input.sandboxes.push_back((*pod)->Get()->record);
  } else if (unknown) {
    input.unknown.insert(pod_id);
  }
  if (Seen(container->id())) input.seen.insert(container->id());
  if (MayHaveLeftovers(container)) input.suspects.insert(container->id());
  return Plan(input).containers.at(0).action;
}

ReconcileAction Reconciler::PlanFor(const PodSandboxPtr& sandbox) const {
  ReconcileInput input;
  input.boot_id = store_->boot_id();
  const auto state = sandbox->Get();
  input.sandboxes.push_back(state->record);
  if (state->stopped) input.stopped.insert(sandbox->id());
  if (Seen(sandbox->id())) input.seen.insert(sandbox->id());
  return Plan(input).sandboxes.at(0).action;
}

ReconcileOutcome Reconciler::SettleContainer(
    const std::string& id, const std::function<bool()>& wanted,
    ReconcileReport* report) {
  auto found = store_->FindContainer(id);
  // lint: allow absence: the store knows all; it was removed meanwhile
  if (!found.ok()) {
    SetSeen(id);
    return {};
  }
  const ContainerPtr container = *std::move(found);
  const OperationLock::Guard turn = container->TryLock();
  if (container->gone()) return {};
  if (!turn.held()) return ReconcileOutcome::Of(ReconcileOutcome::Kind::kBusy);
  std::atomic<bool> cut_short = false;
  const base::Deadline deadline =
      base::Deadline::After(kStepPatience).CancelledBy([&] {
        if (cancelled_ || container->wanted() || (wanted && wanted())) {
          cut_short = true;
        }
        return cut_short.load();
      });
  ReconcileReport own;
  Step(container, deadline, &own);
  if (container->gone()) {
    return Removed(id, std::move(own), report);
  }
  // The call that cut it short sees to the object, or comes to nothing and
  // leaves the next try to us.
  if (cut_short) return ReconcileOutcome::Of(ReconcileOutcome::Kind::kBusy);
  const bool done = PlanFor(container) == ReconcileAction::kKeep;
  const bool failed = !own.problems.empty();
  report->Add(std::move(own));
  return ReconcileOutcome::Of(done || failed
                                  ? ReconcileOutcome::Kind::kDone
                                  : ReconcileOutcome::Kind::kUnknown);
}

ReconcileOutcome Reconciler::Removed(const std::string& id, ReconcileReport own,
                                     ReconcileReport* report) {
  SetSeen(id);
  report->Add(std::move(own));
  ReconcileOutcome outcome;
  // What helped to make it is an orphan from now on.
  outcome.next = {{ReconcileKey::Kind::kScan}};
  return outcome;
}

void Reconciler::SetAsked(const std::string& id, ReconcileAction action) {
  if (action == ReconcileAction::kAdopt || action == ReconcileAction::kLeave) {
    return;
  }
  // A call may have ended what nobody could see; then there is no need to.
  const base::MutexLock lock(&mutex_);
  if (const auto at = unseen_.find(id); at != unseen_.end()) at->second.clear();
}

void Reconciler::Step(const ContainerPtr& container,
                      const base::Deadline& deadline, ReconcileReport* report) {
  const std::string name = "container " + Short(container->id());
  bool unheld = false;
  {
    const base::MutexLock lock(&mutex_);
    unheld = unheld_.count(container->id()) != 0;
  }
  if (unheld) {
    RestoreImages(container, report);
    HoldBackImages();
  }
  const ReconcileAction action = PlanFor(container);
  SetAsked(container->id(), action);
  switch (action) {
    case ReconcileAction::kLeave:
      SetUnseen(container->id(),
                absl::StrCat(name, ": the record of its pod cannot be read"));
      break;
    case ReconcileAction::kAdopt:
      // Without its pod it had a bare spec.
      if (container->Get()->spec->sandbox.id.empty()) {
        RestoreContainer(container, report);
      }
      AdoptContainer(container, deadline.Within(kShimPatience), report);
      if (PlanFor(container) == ReconcileAction::kKillLeftovers) {
        KillLeftovers(container, deadline, report);
      }
      break;
    case ReconcileAction::kEnd:
      EndContainer(container, "the node was rebooted", report);
      break;
    case ReconcileAction::kSettleUpdate:
      Try("settle the resources of " + name,
          containers_->SettleUpdate(container, deadline), report);
      break;
    case ReconcileAction::kKillLeftovers:
      KillLeftovers(container, deadline, report);
      break;
    case ReconcileAction::kRemove:
      RemoveContainer(container, deadline, report);
      break;
    default:
      break;
  }
}

void Reconciler::KillLeftovers(const ContainerPtr& container,
                               const base::Deadline& deadline,
                               ReconcileReport* report) {
  const std::string name = "container " + Short(container->id());
  const std::string what = absl::StrCat("kill what ", name, " left");
  if (!Seen(container->id())) {
    // It had ended before this agent came: the runtime does not know it yet.
    const auto state = container->Get();
    const absl::Status known =
        runtime_
            ->AdoptContainer(*state->spec, GetFacts(state->record),
                             deadline.Within(kShimPatience))
            .status();
    if (!known.ok()) {
      SetUnseen(container->id(), absl::StrCat(name, ": ", known.message()));
      return;
    }
    SetSeen(container->id());
  }
  absl::Status dead = runtime_->KillContainer(container->id());
  if (dead.ok()) {
    dead = runtime_->AwaitContainerDeath(container->id(),
                                         deadline.Within(kDeathPatience));
  }
  Try(what, dead, report);
  if (dead.ok()) {
    const base::MutexLock lock(&mutex_);
    emptied_.insert(container->id());
  }
}

void Reconciler::RemoveContainer(const ContainerPtr& container,
                                 const base::Deadline& deadline,
                                 ReconcileReport* report) {
  const std::string name = "remove container " + Short(container->id());
  // No wait for the first process here: the runtime kills what runs.
  const absl::Status removed =
      runtime_->RemoveContainer(*container->Get()->spec, deadline);
  Try(name, removed, report);
  if (removed.ok()) {
    ++report->undone;
    Try(name, store_->Erase(container), report);
    if (container->gone()) container->HoldImages({});
    return;
  }
  // Lists show the container as ended until a Remove succeeds (REL-7).
  EndContainer(container, removed.message(), report);
  Reveal(container.get());
}

ReconcileOutcome Reconciler::SettleSandbox(const std::string& id,
                                           ReconcileReport* report) {
  auto found = store_->FindSandbox(id);
  // lint: allow absence: the store knows all; it was removed meanwhile
  if (!found.ok()) {
    SetSeen(id);
    return {};
  }
  const PodSandboxPtr sandbox = *std::move(found);
  const OperationLock::Guard turn = sandbox->TryLock();
  if (sandbox->gone()) return {};
  if (!turn.held()) return ReconcileOutcome::Of(ReconcileOutcome::Kind::kBusy);
  std::atomic<bool> cut_short = false;
  const auto wanted = [&] {
    if (cancelled_ || sandbox->wanted()) cut_short = true;
    return cut_short.load();
  };
  const base::Deadline deadline =
      base::Deadline::After(kStepPatience).CancelledBy(wanted);
  ReconcileReport own;
  if (PlanFor(sandbox) == ReconcileAction::kRemove) {
    // Some are not known to the runtime, which could not end them for us.
    for (const ContainerPtr& container : store_->ContainersOf(id)) {
      const ReconcileOutcome one =
          SettleContainer(container->id(), wanted, &own);
      if (one.kind != ReconcileOutcome::Kind::kDone) return one;
    }
  }
  if (own.problems.empty()) {
    Step(sandbox, deadline, &own);
  } else {
    Reveal(sandbox.get());
  }
  if (sandbox->gone()) {
    return Removed(id, std::move(own), report);
  }
  if (cut_short) return ReconcileOutcome::Of(ReconcileOutcome::Kind::kBusy);
  const ReconcileAction left = PlanFor(sandbox);
  const bool done =
      left == ReconcileAction::kKeep || left == ReconcileAction::kLook;
  const bool failed = !own.problems.empty();
  report->Add(std::move(own));
  return ReconcileOutcome::Of(done || failed
                                  ? ReconcileOutcome::Kind::kDone
                                  : ReconcileOutcome::Kind::kUnknown);
}

void Reconciler::Step(const PodSandboxPtr& sandbox,
                      const base::Deadline& deadline, ReconcileReport* report) {
  const std::string name = "pod sandbox " + Short(sandbox->id());
  CallContext call;
  call.deadline = deadline;
  const ReconcileAction action = PlanFor(sandbox);
  SetAsked(sandbox->id(), action);
  switch (action) {
    case ReconcileAction::kAdopt:
      AdoptSandbox(sandbox, report);
      break;
    case ReconcileAction::kEnd:
    case ReconcileAction::kFinishStop:
      if (HasNetwork(sandbox->Get()->record)) ++report->undone;
      Try("finish the stop of " + name, sandboxes_->StopLocked(sandbox, call),
          report);
      break;
    case ReconcileAction::kRemove:
      RemoveSandbox(sandbox, deadline, report);
      break;
    default:
      break;
  }
}

void Reconciler::LookAtReadyPod(const std::string& id,
                                ReconcileReport* report) {
  auto found = store_->FindSandbox(id);
  // lint: allow absence: the store knows all; it was removed meanwhile
  if (!found.ok()) return;
  const PodSandboxPtr sandbox = *std::move(found);
  const OperationLock::Guard turn = sandbox->TryLock();
  // A call works on it, and the next scan looks again.
  if (!turn.held() || sandbox->gone() ||
      PlanFor(sandbox) != ReconcileAction::kLook) {
    return;
  }
  const auto state = sandbox->Get();
  const std::string name = "pod sandbox " + Short(id);
  absl::Status still =
      runtime_->AdoptSandbox(*state->spec, GetFacts(state->record));
  if (still.ok() && state->network.has_value()) {
    still = CheckNetwork(sandbox, Altered::kIsItsOwn,
                         StepDeadline(kShimPatience), report);
  }
  if (absl::IsFailedPrecondition(still)) {
    sandboxes_->EndByItself(
        sandbox,
        absl::StrCat(still.message(), "; stop and remove the pod sandbox"));
    return;
  }
  Try("look at " + name, still, report);
}

void Reconciler::RemoveSandbox(const PodSandboxPtr& sandbox,
                               const base::Deadline& deadline,
                               ReconcileReport* report) {
  const std::string what = "undo pod sandbox " + Short(sandbox->id());
  CallContext call;
  call.deadline = deadline;
  const absl::Status removed = sandboxes_->RemoveLocked(sandbox, call);
  Try(what, removed, report);
  if (removed.ok()) {
    ++report->undone;
    return;
  }
  // Lists show the pod as NOTREADY, for another Remove (REL-7).
  Reveal(sandbox.get());
}

}  // namespace warren::agent
