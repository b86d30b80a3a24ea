#include "agent/pods/reconciler.h"

#include <absl/strings/str_cat.h>

#include <iterator>
#include <utility>

#include "agent/store/lifecycle.h"
#include "agent/store/record_convert.h"
#include "agent/store/record_specs.h"
#include "runtime/base/deadline.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

void Append(std::vector<std::string> from, std::vector<std::string>* to) {
  to->insert(to->end(), std::make_move_iterator(from.begin()),
             std::make_move_iterator(from.end()));
}

// Its record is there until it is removed, and nobody is shown it meanwhile.
template <typename Object>
absl::Status Withdraw(Object* object) {
  return object->Update(Object::Write::kNotInRecord, [](auto* next) {
    next->withdrawn = true;
    return absl::OkStatus();
  });
}

}  // namespace

void ReconcileReport::Add(ReconcileReport other) {
  sandboxes_adopted += other.sandboxes_adopted;
  containers_adopted += other.containers_adopted;
  exits_found += other.exits_found;
  undone += other.undone;
  orphans_removed += other.orphans_removed;
  Append(std::move(other.quarantined), &quarantined);
  Append(std::move(other.problems), &problems);
  Append(std::move(other.unknown), &unknown);
}

Reconciler::Reconciler(runtime::Runtime* runtime,
                       netplugin::PodNetwork* network,
                       image::ImageStore* images, Store* store,
                       PodSandboxManager* sandboxes,
                       ContainerManager* containers, const base::Clock* clock)
    : runtime_(runtime),
      network_(network),
      images_(images),
      store_(store),
      sandboxes_(sandboxes),
      containers_(containers),
      clock_(clock) {}

void Reconciler::Try(const std::string& what, const absl::Status& status,
                     ReconcileReport* report) {
  if (!status.ok()) {
    report->problems.push_back(absl::StrCat(what, ": ", status.message()));
  }
}

bool Reconciler::Seen(const std::string& id) const {
  const base::MutexLock lock(&mutex_);
  return unseen_.count(id) == 0;
}

void Reconciler::SetSeen(const std::string& id) {
  const base::MutexLock lock(&mutex_);
  unseen_.erase(id);
}

void Reconciler::SetUnseen(const std::string& id, std::string why) {
  const base::MutexLock lock(&mutex_);
  unseen_.insert_or_assign(id, std::move(why));
}

std::vector<std::string> Reconciler::Unknown() const {
  std::vector<std::string> sentences;
  {
    const base::MutexLock lock(&mutex_);
    for (const auto& entry : unseen_) {
      if (!entry.second.empty()) sentences.push_back(entry.second);
    }
  }
  for (const UnknownRecord& record : store_->Unknown()) {
    sentences.push_back(absl::StrCat(record.file, ": ", record.reason));
  }
  return sentences;
}

absl::StatusOr<ReconcileReport> Reconciler::Adopt() {
  ReconcileReport report;
  ASSIGN_OR_RETURN(report.quarantined, store_->Load());
  for (const std::string& id : store_->Ids()) SetUnseen(id, "");
  HoldBackImages();
  Restore(&report);
  HoldBackImages();
  AdoptAll(Plan(World()), &report);
  RemoveOrphanLinks(&report);
  report.unknown = Unknown();
  return report;
}

void Reconciler::AdoptAll(const ReconcilePlan& plan, ReconcileReport* report) {
  const base::Deadline patience = base::Deadline::After(kAdoptPatience);
  const base::Deadline shims = base::Deadline::After(kShimPatience);
  for (const ReconcileStep& step : plan.containers) {
    auto container = store_->FindContainer(step.id);
    // lint: allow absence: the store knows all
    if (!container.ok()) continue;
    const std::string name = "container " + Short(step.id);
    if (step.action == ReconcileAction::kEnd) {
      EndContainer(*container, "the node was rebooted", report);
    } else if (step.action == ReconcileAction::kRemove) {
      Try("withdraw " + name, Withdraw(container->get()), report);
    } else if (step.action == ReconcileAction::kLeave) {
      SetUnseen(step.id,
                absl::StrCat(name, ": the record of its pod cannot be read"));
    } else if (step.action == ReconcileAction::kAdopt) {
      if (patience.Check().ok()) {
        AdoptContainer(*container, shims, report);
      } else {
        SetUnseen(step.id, absl::StrCat(name, ": there was no time for it"));
      }
    }
  }
  for (const ReconcileStep& step : plan.sandboxes) {
    auto sandbox = store_->FindSandbox(step.id);
    // lint: allow absence: the store knows all
    if (!sandbox.ok()) continue;
    if (step.action == ReconcileAction::kAdopt) {
      AdoptSandbox(*sandbox, report);
    } else {
      sandboxes_->MarkEnded(*sandbox);
    }
    // Until the network of what has ended is taken down, nobody else may get
    // its address.
    if ((*sandbox)->Get()->record.phase() != record::RUNNING ||
        !Seen(step.id)) {
      HoldAddress(*sandbox);
    }
    if (step.action == ReconcileAction::kRemove) {
      Try("withdraw pod sandbox " + Short(step.id), Withdraw(sandbox->get()),
          report);
    }
  }
}

void Reconciler::EndContainer(const ContainerPtr& container,
                              absl::string_view message,
                              ReconcileReport* report) {
  if (container->Get()->record.finished_at_ns() != 0) return;
  ++report->exits_found;
  Try("record the end of container " + Short(container->id()),
      container->Update(Container::Write::kFactEvenUnrecorded,
                        [&](ContainerState* next) {
                          return SetLost(message, clock_->RealNow(),
                                         &next->record);
                        }),
      report);
}

void Reconciler::AdoptContainer(const ContainerPtr& container,
                                const base::Deadline& patience,
                                ReconcileReport* report) {
  const std::string name = "container " + Short(container->id());
  const auto state = container->Get();
  const auto adopted =
      runtime_->AdoptContainer(*state->spec, GetFacts(state->record), patience);
  if (!adopted.ok()) {
    SetUnseen(container->id(),
              absl::StrCat(name, ": ", adopted.status().message()));
    return;
  }
  SetSeen(container->id());
  const bool never_started = state->record.phase() == record::CREATED;
  if (adopted->liveness == runtime::ContainerLiveness::kRunning) {
    ++report->containers_adopted;
    Try(name,
        container->Update(
            Container::Write::kFactEvenUnrecorded,
            [&](ContainerState* next) -> absl::Status {
              // Its exit may have been reported in between.
              if (next->record.phase() == record::RUNNING ||
                  next->record.finished_at_ns() != 0) {
                return absl::OkStatus();
              }
              if (next->record.phase() == record::CREATED) {
                RETURN_IF_ERROR(Advance(&next->record, record::STARTING));
              }
              RETURN_IF_ERROR(Advance(&next->record, record::RUNNING));
              Put(adopted->start, &next->record);
              if (!next->early_exit.has_value()) return absl::OkStatus();
              return SetExited(*next->early_exit, clock_->RealNow(),
                               &next->record);
            }),
        report);
    return;
  }
  if (adopted->liveness == runtime::ContainerLiveness::kExited) {
    ++report->exits_found;
    Try(name,
        container->Update(Container::Write::kFactEvenUnrecorded,
                          [&](ContainerState* next) {
                            return SetExited(adopted->exit, clock_->RealNow(),
                                             &next->record);
                          }),
        report);
  } else if (never_started) {
    ++report->containers_adopted;
  } else {
    EndContainer(container, "its end was not seen", report);
  }
}

void Reconciler::AdoptSandbox(const PodSandboxPtr& sandbox,
                              ReconcileReport* report) {
  const auto state = sandbox->Get();
  const std::string name = "pod sandbox " + Short(sandbox->id());
  absl::Status adopted =
      runtime_->AdoptSandbox(*state->spec, GetFacts(state->record));
  if (adopted.ok() && state->network.has_value()) {
    adopted = CheckNetwork(
        sandbox, Altered::kIsTold,
        base::Deadline::After(PodSandboxManager::kNetworkPatience), report);
  }
  if (!adopted.ok() && !absl::IsFailedPrecondition(adopted)) {
    SetUnseen(sandbox->id(), absl::StrCat(name, ": ", adopted.message()));
    return;
  }
  SetSeen(sandbox->id());
  if (adopted.ok()) {
    ++report->sandboxes_adopted;
    return;
  }
  // The pod becomes NOTREADY and is stopped later: without its network or its
  // namespaces no container can run in it.
  Try("adopt " + name, adopted, report);
  sandboxes_->MarkEnded(sandbox);
}

void Reconciler::HoldAddress(const PodSandboxPtr& sandbox) {
  const auto state = sandbox->Get();
  if (!state->network.has_value()) return;
  // The address is held even when nothing can be said of the pod, and what
  // there is to say does not matter for one that goes.
  network_->Check(*state->network, -1, StepDeadline(kShimPatience))
      .status()
      .IgnoreError();
}

absl::Status Reconciler::CheckNetwork(const PodSandboxPtr& sandbox,
                                      Altered altered,
                                      const base::Deadline& deadline,
                                      ReconcileReport* report) {
  const netplugin::NetworkState before = *sandbox->Get()->network;
  const std::string what = "check the network of " + Short(sandbox->id());
  const auto netns = runtime_->OpenSandboxNetns(sandbox->id());
  Try(what, netns.status(), report);
  const auto check =
      network_->Check(before, netns.ok() ? netns->get() : -1, deadline);
  Try(what, check.status(), report);
  // lint: allow absence: unknown is not gone, the pod goes on
  if (!check.ok()) return absl::OkStatus();
  if (check->verdict == netplugin::PodCheck::Verdict::kLost) {
    return absl::FailedPreconditionError(
        absl::StrCat("it has lost its network: ", check->problem));
  }
  if (check->verdict == netplugin::PodCheck::Verdict::kAltered &&
      altered == Altered::kIsTold) {
    Try(what, absl::InternalError(check->problem), report);
  }
  if (check->state == before) return absl::OkStatus();
  Try(what,
      sandbox->Update(PodSandbox::Write::kFactEvenUnrecorded,
                      [&](PodSandboxState* next) {
                        next->network = check->state;
                        Put(next->network, &next->record);
                        return absl::OkStatus();
                      }),
      report);
  return absl::OkStatus();
}

void Reconciler::RemoveOrphanLinks(ReconcileReport* report) {
  // No pod may be in neither list.
  const base::MutexLock lock(&records_mutex_);
  std::vector<std::string> wired;
  for (const PodSandboxPtr& sandbox : store_->Sandboxes()) {
    // One that cannot be read is not gone either.
    if (HasNetwork(sandbox->Get()->record)) wired.push_back(sandbox->id());
  }
  for (const UnknownRecord& record : store_->Unknown()) {
    if (record.kind == UnknownRecord::Kind::kSandbox) {
      wired.push_back(record.id);
    }
  }
  const auto removed =
      network_->RemoveOrphans(wired, StepDeadline(kShimPatience));
  Try("remove links without a pod", removed.status(), report);
  if (removed.ok()) report->orphans_removed += *removed;
}

}  // namespace warren::agent
