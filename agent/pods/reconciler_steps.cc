#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "agent/pods/reconciler.h"
#include "runtime/base/deadline.h"

// The steps of the reconcile loop: one object at a time.
namespace warren::agent {
namespace {

using Kind = ReconcileOutcome::Kind;

// How long one look waits for the death of what was sent SIGKILL. The turn of
// the container is held meanwhile.
constexpr absl::Duration kDeathPatience = absl::Milliseconds(500);

ReconcileOutcome Of(Kind kind) {
  ReconcileOutcome outcome;
  outcome.kind = kind;
  return outcome;
}

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

base::Deadline Reconciler::StepDeadline(absl::Duration patience) const {
  return base::Deadline::After(patience).CancelledBy(
      [this] { return cancelled_.load(); });
}

// ---- What there is to do --------------------------------------------------

bool Reconciler::MayHaveLeftovers(const ContainerPtr& container) const {
  const auto state = container->Get();
  if (state->record.phase() != record::EXITED ||
      state->spec->pid == runtime::NamespaceMode::kContainer) {
    return false;
  }
  const base::MutexLock lock(&mutex_);
  // The runtime does not know those that had ended before this agent came.
  return unseen_.count(container->id()) == 0 &&
         emptied_.count(container->id()) == 0;
}

ReconcileInput Reconciler::World() const {
  ReconcileInput input;
  input.boot_id = store_->boot_id();
  for (const UnknownRecord& record : store_->Unknown()) {
    input.unknown.insert(record.id);
  }
  for (const PodSandboxPtr& sandbox : store_->Sandboxes()) {
    const auto state = sandbox->Get();
    input.sandboxes.push_back(state->record);
    if (state->stopped) input.stopped.insert(sandbox->id());
    if (Seen(sandbox->id())) input.seen.insert(sandbox->id());
  }
  for (const ContainerPtr& container : store_->Containers()) {
    input.containers.push_back(container->Get()->record);
    if (Seen(container->id())) input.seen.insert(container->id());
    if (MayHaveLeftovers(container)) input.suspects.insert(container->id());
  }
  return input;
}

std::vector<ReconcileKey> Reconciler::Scan() {
  const base::MutexLock records(&records_mutex_);
  // What is made meanwhile is on record before it is in the kernel, and what is
  // removed leaves the kernel first. So an orphan is what both looks at the
  // records miss.
  std::set<std::string> recorded = store_->Ids();
  ReconcileInput input = World();
  input.kernel_sandboxes = runtime_->ListSandboxIds();
  input.kernel_containers = runtime_->ListContainerIds();
  recorded.merge(store_->Ids());
  const auto is_recorded = [&](const std::string& id) {
    return recorded.count(id) != 0;
  };
  std::erase_if(input.kernel_sandboxes, is_recorded);
  std::erase_if(input.kernel_containers, is_recorded);
  const ReconcilePlan plan = Plan(input);
  std::vector<ReconcileKey> keys;
  if (!store_->Unknown().empty()) {
    keys.push_back({ReconcileKey::Kind::kRecords});
  }
  for (const ReconcileStep& step : plan.containers) {
    if (step.action == ReconcileAction::kKillLeftovers) {
      keys.push_back({ReconcileKey::Kind::kLeftovers, step.id});
    } else if (step.action != ReconcileAction::kKeep) {
      keys.push_back({ReconcileKey::Kind::kContainer, step.id});
    }
  }
  for (const ReconcileStep& step : plan.sandboxes) {
    if (step.action != ReconcileAction::kKeep) {
      keys.push_back({ReconcileKey::Kind::kSandbox, step.id});
    }
  }
  keys.push_back({ReconcileKey::Kind::kOrphanLinks});
  for (const std::string& id : plan.orphan_containers) {
    keys.push_back({ReconcileKey::Kind::kOrphanContainer, id});
  }
  for (const std::string& id : plan.orphan_sandboxes) {
    keys.push_back({ReconcileKey::Kind::kOrphanSandbox, id});
  }
  const auto gone = [&](const std::string& id) { return !is_recorded(id); };
  const base::MutexLock lock(&mutex_);
  for (const std::string& id : unheld_) {
    if (!gone(id)) keys.push_back({ReconcileKey::Kind::kContainer, id});
  }
  std::erase_if(unheld_, gone);
  std::erase_if(emptied_, gone);
  std::erase_if(unseen_, [&](const auto& entry) { return gone(entry.first); });
  std::map<std::string, bool> orphans;
  for (const std::string& id : plan.orphan_containers) {
    const auto before = orphans_.find(id);
    orphans[id] = before != orphans_.end() && before->second;
  }
  orphans_ = std::move(orphans);
  if (!collected_) keys.push_back({ReconcileKey::Kind::kImages});
  return keys;
}

// ---- One key --------------------------------------------------------------

ReconcileOutcome Reconciler::Settle(const ReconcileKey& key,
                                    ReconcileReport* report) {
  ReconcileReport own;
  ReconcileOutcome outcome;
  switch (key.kind) {
    case ReconcileKey::Kind::kScan:
      outcome.next = Scan();
      break;
    case ReconcileKey::Kind::kRecords:
      outcome = RetryRecords(&own);
      break;
    case ReconcileKey::Kind::kLinks:
      outcome = SettleLinks(&own);
      break;
    case ReconcileKey::Kind::kOrphanLinks:
      RemoveOrphanLinks(&own);
      outcome.next = {{ReconcileKey::Kind::kLinks}};
      break;
    case ReconcileKey::Kind::kLeftovers:
    case ReconcileKey::Kind::kContainer:
      outcome = SettleContainer(key.id, &own);
      break;
    case ReconcileKey::Kind::kSandbox:
      outcome = SettleSandbox(key.id, &own);
      break;
    case ReconcileKey::Kind::kOrphanContainer:
    case ReconcileKey::Kind::kOrphanSandbox:
      outcome = SettleOrphan(key, &own);
      break;
    case ReconcileKey::Kind::kImages:
      outcome = SettleImages(&own);
      break;
  }
  if (!own.problems.empty()) {
    outcome.kind = Kind::kFailed;
    outcome.why = absl::StrJoin(own.problems, "; ");
  }
  report->Add(std::move(own));
  return outcome;
}

ReconcileOutcome Reconciler::RetryRecords(ReconcileReport* report) {
  const base::MutexLock records(&records_mutex_);
  Store::Retried found = store_->RetryUnknown();
  report->quarantined = std::move(found.quarantined);
  ReconcileOutcome outcome =
      Of(store_->Unknown().empty() ? Kind::kDone : Kind::kUnknown);
  // Those of containers that waited for their pod's are among what a scan
  // finds.
  outcome.next.push_back({ReconcileKey::Kind::kScan});
  if (found.sandboxes.empty() && found.containers.empty()) return outcome;
  const HostFacts host = ReadHostFacts(*clock_, NodePolicy());
  for (Store::ReservedSandbox& pod : found.sandboxes) {
    SetUnseen(pod.object->id(),
              absl::StrCat("pod sandbox ", Short(pod.object->id()),
                           ": its record was read late"));
    RestoreSandbox(pod.object, host, report);
    HoldAddress(pod.object);
    store_->Publish(pod.object);
  }
  for (Store::ReservedContainer& container : found.containers) {
    SetUnseen(container.object->id(),
              absl::StrCat("container ", Short(container.object->id()),
                           ": its record was read late"));
    RestoreContainer(container.object, report);
    store_->Publish(container.object);
  }
  return outcome;
}

ReconcileOutcome Reconciler::SettleLinks(ReconcileReport* report) {
  const auto again = network_->Tend(StepDeadline(kStepPatience));
  Try("delete links of pods that were detached", again.status(), report);
  ReconcileOutcome outcome;
  if (again.ok() && *again < absl::InfiniteDuration()) outcome.again = *again;
  return outcome;
}

ReconcileOutcome Reconciler::SettleImages(ReconcileReport* report) {
  {
    const base::MutexLock lock(&mutex_);
    // Which layers an unreadable record or an orphan uses is unknown.
    if (collected_ || !unheld_.empty() || !orphans_.empty()) return {};
  }
  if (!store_->Unknown().empty()) return {};
  const absl::Status collected = images_->CollectGarbage();
  Try("collect unused image data", collected, report);
  const base::MutexLock lock(&mutex_);
  collected_ = collected.ok();
  return {};
}

ReconcileOutcome Reconciler::SettleOrphan(const ReconcileKey& key,
                                          ReconcileReport* report) {
  if (key.kind == ReconcileKey::Kind::kOrphanSandbox) {
    {
      // What is left of a pod is taken down around nothing.
      const base::MutexLock lock(&mutex_);
      const bool all_tried =
          std::all_of(orphans_.begin(), orphans_.end(),
                      [](const auto& orphan) { return orphan.second; });
      if (!all_tried) return Of(Kind::kBusy);
    }
    runtime::SandboxSpec spec;
    spec.id = key.id;
    const absl::Status removed =
        runtime_->RemoveSandbox(spec, StepDeadline(kStepPatience));
    Try("remove the unknown pod sandbox " + Short(key.id), removed, report);
    if (removed.ok()) ++report->orphans_removed;
    return {};
  }
  runtime::ContainerSpec spec;
  spec.id = key.id;
  const absl::Status removed =
      runtime_->RemoveContainer(spec, StepDeadline(kStepPatience));
  Try("remove the unknown container " + Short(key.id), removed, report);
  ReconcileOutcome outcome;
  const base::MutexLock lock(&mutex_);
  if (!removed.ok()) {
    orphans_[key.id] = true;
    return outcome;
  }
  ++report->orphans_removed;
  orphans_.erase(key.id);
  if (orphans_.empty()) outcome.next = {{ReconcileKey::Kind::kImages}};
  return outcome;
}

// ---- Objects with a record ------------------------------------------------

ReconcileAction Reconciler::PlanFor(const ContainerPtr& container) const {
  ReconcileInput input;
  input.boot_id = store_->boot_id();
  input.containers.push_back(container->Get()->record);
  const std::string& pod_id = input.containers[0].sandbox_id();
  if (auto pod = store_->FindSandbox(pod_id); pod.ok()) {
    input.sandboxes.push_back((*pod)->Get()->record);
  } else if (store_->IsUnknown(pod_id)) {
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

ReconcileOutcome Reconciler::SettleContainer(const std::string& id,
                                             ReconcileReport* report) {
  auto container = store_->FindContainer(id);
  // lint: allow absence: the store knows all; it was removed meanwhile
  if (!container.ok()) return {};
  const OperationLock::Guard turn = (*container)->TryLock();
  if ((*container)->gone()) return {};
  if (!turn.held()) return Of(Kind::kBusy);
  Step(*container, report);
  ReconcileOutcome outcome;
  if ((*container)->gone()) return outcome;
  if (PlanFor(*container) != ReconcileAction::kKeep &&
      report->problems.empty()) {
    outcome.kind = Kind::kUnknown;
  }
  return outcome;
}

void Reconciler::Step(const ContainerPtr& container, ReconcileReport* report) {
  const std::string name = "container " + Short(container->id());
  bool unheld = false;
  {
    const base::MutexLock lock(&mutex_);
    unheld = unheld_.count(container->id()) != 0;
  }
  if (unheld) RestoreImages(container, report);
  switch (PlanFor(container)) {
    case ReconcileAction::kLeave:
      SetUnseen(container->id(),
                absl::StrCat(name, ": the record of its pod cannot be read"));
      break;
    case ReconcileAction::kAdopt:
      // Without its pod it had a bare spec.
      if (container->Get()->spec->sandbox.id.empty()) {
        RestoreContainer(container, report);
      }
      AdoptContainer(container, StepDeadline(kShimPatience), report);
      if (PlanFor(container) == ReconcileAction::kKillLeftovers) {
        KillLeftovers(container, report);
      }
      break;
    case ReconcileAction::kEnd:
      EndContainer(container, "the node was rebooted", report);
      break;
    case ReconcileAction::kSettleUpdate:
      Try("settle the resources of " + name,
          containers_->SettleUpdate(container, StepDeadline(kStepPatience)),
          report);
      break;
    case ReconcileAction::kKillLeftovers:
      KillLeftovers(container, report);
      break;
    case ReconcileAction::kRemove:
      RemoveContainer(container, report);
      break;
    default:
      break;
  }
}

void Reconciler::KillLeftovers(const ContainerPtr& container,
                               ReconcileReport* report) {
  const std::string what =
      absl::StrCat("kill what container ", Short(container->id()), " left");
  absl::Status dead = runtime_->KillContainer(container->id());
  if (dead.ok()) {
    dead = runtime_->AwaitContainerDeath(container->id(),
                                         StepDeadline(kDeathPatience));
  }
  Try(what, dead, report);
  if (!dead.ok()) return;
  const base::MutexLock lock(&mutex_);
  emptied_.insert(container->id());
}

void Reconciler::RemoveContainer(const ContainerPtr& container,
                                 ReconcileReport* report) {
  const std::string name = "remove container " + Short(container->id());
  // No wait for the first process here: the runtime kills what runs.
  const absl::Status removed = runtime_->RemoveContainer(
      *container->Get()->spec, StepDeadline(kStepPatience));
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
  auto sandbox = store_->FindSandbox(id);
  // lint: allow absence: the store knows all; it was removed meanwhile
  if (!sandbox.ok()) return {};
  const OperationLock::Guard turn = (*sandbox)->TryLock();
  if ((*sandbox)->gone()) return {};
  if (!turn.held()) return Of(Kind::kBusy);
  if (PlanFor(*sandbox) == ReconcileAction::kRemove) {
    // Some are not known to the runtime, which could not end them for us.
    for (const ContainerPtr& container : store_->ContainersOf(id)) {
      const ReconcileOutcome one = SettleContainer(container->id(), report);
      if (one.kind != Kind::kDone) return one;
    }
    if (!report->problems.empty()) {
      Reveal(sandbox->get());
      return {};
    }
  }
  Step(*sandbox, report);
  ReconcileOutcome outcome;
  if ((*sandbox)->gone()) return outcome;
  if (PlanFor(*sandbox) != ReconcileAction::kKeep && report->problems.empty()) {
    outcome.kind = Kind::kUnknown;
  }
  return outcome;
}

void Reconciler::Step(const PodSandboxPtr& sandbox, ReconcileReport* report) {
  const std::string name = "pod sandbox " + Short(sandbox->id());
  CallContext call;
  call.deadline = StepDeadline(kStepPatience);
  switch (PlanFor(sandbox)) {
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
      RemoveSandbox(sandbox, report);
      break;
    default:
      break;
  }
}

void Reconciler::RemoveSandbox(const PodSandboxPtr& sandbox,
                               ReconcileReport* report) {
  const std::string what = "undo pod sandbox " + Short(sandbox->id());
  CallContext call;
  call.deadline = StepDeadline(kStepPatience);
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
