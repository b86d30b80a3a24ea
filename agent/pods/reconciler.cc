#include "agent/pods/reconciler.h"

#include <absl/strings/str_cat.h>

#include <utility>

#include "agent/host/facts.h"
#include "agent/store/lifecycle.h"
#include "agent/store/record_convert.h"
#include "runtime/base/deadline.h"
#include "runtime/base/status.h"

namespace warren::agent {

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

void Reconciler::Try(const std::string& what, const absl::Status& status) {
  if (!status.ok()) {
    report_.problems.push_back(absl::StrCat(what, ": ", status.message()));
  }
}

absl::StatusOr<ReconcileReport> Reconciler::Run() {
  patience_ = base::Deadline::After(kPatience);
  ASSIGN_OR_RETURN(report_.quarantined, store_->Load());
  // Which layers an unreadable record names is unknown, too.
  held_back_ = !store_->Unknown().empty();
  images_->HoldBack(held_back_);
  Restore();
  ReconcileInput input;
  input.boot_id = store_->boot_id();
  for (const PodSandboxPtr& sandbox : store_->Sandboxes()) {
    input.sandboxes.push_back(sandbox->Get()->record);
  }
  for (const ContainerPtr& container : store_->Containers()) {
    input.containers.push_back(container->Get()->record);
  }
  input.kernel_sandboxes = runtime_->ListSandboxIds();
  input.kernel_containers = runtime_->ListContainerIds();
  LeaveUnknown(&input);
  const ReconcilePlan plan = Plan(input);
  // Containers first: what is left of a pod is taken down around nothing.
  ApplyContainers(plan);
  ApplySandboxes(plan);
  RemoveOrphans(plan);
  if (!held_back_) {
    Try("collect unused image data", images_->CollectGarbage());
  }
  ReportUnknown();
  return std::exchange(report_, {});
}

// Gives every object the parts that are not on record: spec, network, hold. An
// object whose record makes no sense any more gets a bare spec, with which it
// can at least be removed.
void Reconciler::Restore() {
  const HostFacts host = ReadHostFacts(*clock_, NodePolicy());
  for (const PodSandboxPtr& sandbox : store_->Sandboxes()) {
    RestoreSandbox(sandbox, host);
  }
  for (const ContainerPtr& container : store_->Containers()) {
    RestoreContainer(container);
  }
}

void Reconciler::RestoreSandbox(const PodSandboxPtr& sandbox,
                                const HostFacts& host) {
  const auto state = sandbox->Get();
  auto spec = RestoreSpec(state->record, host);
  Try("restore pod sandbox " + Short(sandbox->id()), spec.status());
  auto network = GetNetwork(state->record);
  Try("restore the network of " + Short(sandbox->id()), network.status());
  runtime::SandboxSpec bare;
  bare.id = sandbox->id();
  Try("restore",
      sandbox->Update(
          PodSandbox::Write::kNotInRecord, [&](PodSandboxState* next) {
            next->spec = std::make_shared<const runtime::SandboxSpec>(
                spec.ok() ? *std::move(spec) : std::move(bare));
            if (network.ok()) next->network = *std::move(network);
            return absl::OkStatus();
          }));
  sandboxes_->RestoreIds(sandbox);
}

void Reconciler::RestoreContainer(const ContainerPtr& container) {
  const auto state = container->Get();
  runtime::ContainerSpec spec;
  spec.id = container->id();
  if (auto pod = store_->FindSandbox(state->record.sandbox_id()); pod.ok()) {
    const auto pod_state = (*pod)->Get();
    spec.sandbox = *pod_state->spec;
    // Half-made ones may lack what a whole spec needs; they are undone.
    auto whole =
        RestoreSpec(state->record, pod_state->record, *pod_state->spec);
    if (state->record.phase() != record::CREATING) {
      Try("restore container " + Short(container->id()), whole.status());
    }
    if (whole.ok()) spec = *std::move(whole);
  }
  ContainerImages images;
  if (state->record.layer_dirs_size() > 0) {
    auto held = images_->Rehold(
        state->record.image_id(),
        {state->record.layer_dirs().begin(), state->record.layer_dirs().end()});
    Try("hold the image of container " + Short(container->id()), held.status());
    if (held.ok()) images.root = *std::move(held);
  }
  auto volumes = ReholdVolumeImages(images_, state->record);
  Try("hold the volumes of container " + Short(container->id()),
      volumes.status());
  if (volumes.ok()) images.volumes = *std::move(volumes);
  container->HoldImages(std::move(images));
  Try("restore",
      container->Update(
          Container::Write::kNotInRecord, [&](ContainerState* next) {
            next->spec =
                std::make_shared<const runtime::ContainerSpec>(std::move(spec));
            return absl::OkStatus();
          }));
}

void Reconciler::ApplyContainers(const ReconcilePlan& plan) {
  for (const ReconcileStep& step : plan.containers) {
    auto container = store_->FindContainer(step.id);
    // lint: allow absence: the store knows all
    if (!container.ok()) continue;
    switch (step.action) {
      case ReconcileAction::kAdopt:
        AdoptContainer(*container);
        break;
      case ReconcileAction::kEnd:
        EndContainer(*container, "the node was rebooted");
        break;
      case ReconcileAction::kRemove:
        ++report_.undone;
        RemoveContainer(*container);
        break;
      default:
        break;
    }
  }
}

void Reconciler::RemoveContainer(const ContainerPtr& container) {
  const std::string name = "remove container " + Short(container->id());
  // No wait for the first process here: the runtime kills what runs.
  const absl::Status removed = runtime_->RemoveContainer(
      *container->Get()->spec, base::Deadline::Never());
  Try(name, removed);
  if (removed.ok()) {
    Try(name, store_->Erase(container));
    return;
  }
  // Lists show the container as ended until a Remove succeeds (REL-7).
  EndContainer(container, removed.message());
}

void Reconciler::EndContainer(const ContainerPtr& container,
                              absl::string_view message) {
  if (container->Get()->record.finished_at_ns() != 0) return;
  ++report_.exits_found;
  Try("record the end of container " + Short(container->id()),
      container->Update(
          Container::Write::kFactEvenUnrecorded, [&](ContainerState* next) {
            return SetLost(message, clock_->RealNow(), &next->record);
          }));
}

void Reconciler::AdoptContainer(const ContainerPtr& container) {
  const std::string name = "container " + Short(container->id());
  const auto state = container->Get();
  const auto adopted = runtime_->AdoptContainer(
      *state->spec, GetFacts(state->record), patience_);
  if (!adopted.ok()) {
    Doubt(container->id(),
          {.container = container,
           .sandbox = nullptr,
           .why = absl::StrCat(name, ": ", adopted.status().message())});
    return;
  }
  const auto settle = [&] {
    Try("settle the resources of " + name,
        containers_->SettleUpdate(container));
  };
  const bool never_started = state->record.phase() == record::CREATED;
  if (adopted->liveness == runtime::ContainerLiveness::kRunning) {
    ++report_.containers_adopted;
    Try(name, container->Update(
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
                  }));
    settle();
    return;
  }
  if (adopted->liveness == runtime::ContainerLiveness::kExited) {
    ++report_.exits_found;
    Try(name,
        container->Update(
            Container::Write::kFactEvenUnrecorded, [&](ContainerState* next) {
              return SetExited(adopted->exit, clock_->RealNow(), &next->record);
            }));
  } else if (never_started) {
    ++report_.containers_adopted;
    settle();
    return;
  } else {
    EndContainer(container, "its end was not seen");
  }
  // Its processes may have outlived the first, in a shared pid namespace.
  Try("kill what " + name + " left", runtime_->KillContainer(container->id()));
}

void Reconciler::ApplySandboxes(const ReconcilePlan& plan) {
  for (const ReconcileStep& step : plan.sandboxes) {
    auto sandbox = store_->FindSandbox(step.id);
    // lint: allow absence: the store knows all
    if (!sandbox.ok()) continue;
    const std::string name = "pod sandbox " + Short(step.id);
    switch (step.action) {
      case ReconcileAction::kAdopt:
        AdoptSandbox(*sandbox);
        break;
      case ReconcileAction::kEnd:
      case ReconcileAction::kFinishStop:
        if (HasNetwork((*sandbox)->Get()->record)) ++report_.undone;
        Try("finish the stop of " + name,
            sandboxes_->StopLocked(*sandbox, CallContext()));
        break;
      case ReconcileAction::kRemove: {
        ++report_.undone;
        const absl::Status removed =
            sandboxes_->RemoveLocked(*sandbox, CallContext());
        Try("undo " + name, removed);
        // If that fails, lists show the pod as NOTREADY, for another Remove.
        break;
      }
      case ReconcileAction::kKeep:
        break;
    }
  }
}

void Reconciler::AdoptSandbox(const PodSandboxPtr& sandbox) {
  const auto state = sandbox->Get();
  absl::Status adopted =
      runtime_->AdoptSandbox(*state->spec, GetFacts(state->record));
  if (adopted.ok() && state->network.has_value()) {
    adopted = CheckNetwork(sandbox);
  }
  if (adopted.ok()) {
    ++report_.sandboxes_adopted;
    return;
  }
  if (!absl::IsFailedPrecondition(adopted)) {
    Doubt(sandbox->id(),
          {.container = nullptr,
           .sandbox = sandbox,
           .why = absl::StrCat("pod sandbox ", Short(sandbox->id()), ": ",
                               adopted.message())});
    return;
  }
  // The pod becomes NOTREADY and is stopped: without its network or its
  // namespaces no container can run in it.
  Try("adopt pod sandbox " + Short(sandbox->id()), adopted);
  Try("stop pod sandbox " + Short(sandbox->id()),
      sandboxes_->StopLocked(sandbox, CallContext()));
}

absl::Status Reconciler::CheckNetwork(const PodSandboxPtr& sandbox) {
  const netplugin::NetworkState before = *sandbox->Get()->network;
  const std::string what = "check the network of " + Short(sandbox->id());
  const auto netns = runtime_->OpenSandboxNetns(sandbox->id());
  Try(what, netns.status());
  const auto check = network_->Check(
      before, netns.ok() ? netns->get() : -1,
      base::Deadline::After(PodSandboxManager::kNetworkPatience));
  Try(what, check.status());
  // lint: allow absence: unknown is not gone, the pod goes on
  if (!check.ok()) return absl::OkStatus();
  if (check->verdict == netplugin::PodCheck::Verdict::kLost) {
    return absl::FailedPreconditionError(
        absl::StrCat("it has lost its network: ", check->problem));
  }
  if (check->verdict == netplugin::PodCheck::Verdict::kAltered) {
    Try(what, absl::InternalError(check->problem));
  }
  if (check->state == before) return absl::OkStatus();
  Try(what, sandbox->Update(PodSandbox::Write::kFactEvenUnrecorded,
                            [&](PodSandboxState* next) {
                              next->network = check->state;
                              Put(next->network, &next->record);
                              return absl::OkStatus();
                            }));
  return absl::OkStatus();
}

void Reconciler::RemoveOrphans(const ReconcilePlan& plan) {
  for (const std::string& id : plan.orphan_containers) {
    runtime::ContainerSpec spec;
    spec.id = id;
    ++report_.orphans_removed;
    Try("remove the unknown container " + Short(id),
        runtime_->RemoveContainer(spec, base::Deadline::Never()));
  }
  for (const std::string& id : plan.orphan_sandboxes) {
    runtime::SandboxSpec spec;
    spec.id = id;
    ++report_.orphans_removed;
    Try("remove the unknown pod sandbox " + Short(id),
        runtime_->RemoveSandbox(spec, base::Deadline::Never()));
  }
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
  const auto removed = network_->RemoveOrphans(
      wired, base::Deadline::After(PodSandboxManager::kNetworkPatience));
  Try("remove links without a pod", removed.status());
  if (removed.ok()) report_.orphans_removed += *removed;
}

}  // namespace warren::agent
