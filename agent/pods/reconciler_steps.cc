#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "agent/pods/reconciler.h"
#include "runtime/base/deadline.h"

// The steps of the reconcile loop: one object at a time.
namespace warren::agent {
base::Deadline Reconciler::StepDeadline(absl::Duration patience) const {
  return base::Deadline::After(patience).CancelledBy(
      [this] { return cancelled_.load(); });
}

// ---- What there is to do --------------------------------------------------

bool Reconciler::MayHaveLeftovers(const ContainerPtr& container) const {
  const auto state = container->Get();
  if (state->record.phase() != record::EXITED ||
      state->spec->pid == runtime::NamespaceMode::kContainer ||
      state->record.started_at_ns() == 0 ||
      state->record.boot_id() != store_->boot_id()) {
    return false;
  }
  const base::MutexLock lock(&mutex_);
  return emptied_.count(container->id()) == 0;
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
  // The runtime names what it makes for a moment beside a container
  // "<what>-<id>"; an id has no dash.
  const auto is_recorded = [&](const std::string& id) {
    return recorded.count(id.substr(id.rfind('-') + 1)) != 0;
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
    if (step.action == ReconcileAction::kLook) {
      keys.push_back({ReconcileKey::Kind::kReadyPod, step.id});
    } else if (step.action != ReconcileAction::kKeep) {
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
      // Quick, unless something else is to be done about it by now.
      if (auto container = store_->FindContainer(key.id);
          container.ok() &&
          PlanFor(*container) != ReconcileAction::kKillLeftovers) {
        outcome.next = {{ReconcileKey::Kind::kContainer, key.id}};
        break;
      }
      outcome = SettleContainer(key.id, nullptr, &own);
      break;
    case ReconcileKey::Kind::kReadyPod:
      LookAtReadyPod(key.id, &own);
      break;
    case ReconcileKey::Kind::kContainer:
      outcome = SettleContainer(key.id, nullptr, &own);
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
    outcome.kind = ReconcileOutcome::Kind::kFailed;
    outcome.why = absl::StrJoin(own.problems, "; ");
  }
  report->Add(std::move(own));
  return outcome;
}

ReconcileOutcome Reconciler::RetryRecords(ReconcileReport* report) {
  const base::MutexLock records(&records_mutex_);
  Store::Retried found = store_->RetryUnknown();
  report->quarantined = std::move(found.quarantined);
  ReconcileOutcome outcome;
  // Those of containers that waited for their pod's are among what a scan
  // finds.
  outcome.next.push_back({ReconcileKey::Kind::kScan});
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
  HoldBackImages();
  if (!store_->Unknown().empty()) {
    outcome.kind = ReconcileOutcome::Kind::kUnknown;
  }
  return outcome;
}

ReconcileOutcome Reconciler::SettleLinks(ReconcileReport* report) {
  const auto again = network_->Tend(StepDeadline(kShimPatience));
  Try("delete links of pods that were detached", again.status(), report);
  ReconcileOutcome outcome;
  if (again.ok() && *again < absl::InfiniteDuration()) outcome.again = *again;
  return outcome;
}

ReconcileOutcome Reconciler::SettleImages(ReconcileReport* report) {
  HoldBackImages();
  {
    const base::MutexLock lock(&mutex_);
    // Which layers an unreadable record or an orphan uses is unknown.
    if (collected_ || !unheld_.empty() || !orphans_.empty()) return {};
  }
  if (!store_->Unknown().empty()) return {};
  const absl::Status collected = images_->CollectGarbage();
  // Held back: the store says why among its problems.
  if (absl::IsUnavailable(collected)) return {};
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
      if (!all_tried) {
        return ReconcileOutcome::Of(ReconcileOutcome::Kind::kBusy);
      }
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
    // Of one that nobody knows anything about not even the pod goes.
    orphans_[key.id] =
        !absl::IsUnavailable(removed) && !absl::IsDataLoss(removed);
    return outcome;
  }
  ++report->orphans_removed;
  orphans_.erase(key.id);
  if (orphans_.empty()) outcome.next = {{ReconcileKey::Kind::kImages}};
  return outcome;
}

}  // namespace warren::agent
