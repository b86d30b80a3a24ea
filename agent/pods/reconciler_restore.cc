#include <absl/strings/str_cat.h>

#include <memory>
#include <string>
#include <utility>

#include "agent/host/facts.h"
#include "agent/pods/reconciler.h"
#include "agent/store/record_convert.h"
#include "agent/store/record_specs.h"

// What an object has beside its record: spec, network, images.
namespace warren::agent {

// Gives every object the parts that are not on record: spec, network, hold. An
// object whose record makes no sense any more gets a bare spec, with which it
// can at least be removed.
void Reconciler::Restore(ReconcileReport* report) {
  const HostFacts host = ReadHostFacts(*clock_, NodePolicy());
  for (const PodSandboxPtr& sandbox : store_->Sandboxes()) {
    RestoreSandbox(sandbox, host, report);
  }
  for (const ContainerPtr& container : store_->Containers()) {
    RestoreContainer(container, report);
  }
}

void Reconciler::RestoreSandbox(const PodSandboxPtr& sandbox,
                                const HostFacts& host,
                                ReconcileReport* report) {
  const auto state = sandbox->Get();
  auto spec = RestoreSpec(state->record, host);
  Try("restore pod sandbox " + Short(sandbox->id()), spec.status(), report);
  auto network = GetNetwork(state->record);
  Try("restore the network of " + Short(sandbox->id()), network.status(),
      report);
  runtime::SandboxSpec bare;
  bare.id = sandbox->id();
  // Where it is goes on record once that is known, else at the next start.
  bool complete = spec.ok() && !state->record.has_resolved();
  if (complete) {
    const absl::Status resolved =
        runtime_->ResolveSandbox(&*spec, GetFacts(state->record).pod_init);
    Try("complete pod sandbox " + Short(sandbox->id()), resolved, report);
    complete = resolved.ok();
  }
  Try("restore",
      sandbox->Update(complete ? PodSandbox::Write::kFactEvenUnrecorded
                               : PodSandbox::Write::kNotInRecord,
                      [&](PodSandboxState* next) {
                        if (complete) Put(*spec, &next->record);
                        next->spec =
                            std::make_shared<const runtime::SandboxSpec>(
                                spec.ok() ? *std::move(spec) : std::move(bare));
                        if (network.ok()) next->network = *std::move(network);
                        return absl::OkStatus();
                      }),
      report);
  sandboxes_->RestoreIds(sandbox);
}

void Reconciler::RestoreContainer(const ContainerPtr& container,
                                  ReconcileReport* report) {
  const auto state = container->Get();
  runtime::ContainerSpec spec;
  spec.id = container->id();
  bool complete = false;  // its record is of version 1
  if (auto pod = store_->FindSandbox(state->record.sandbox_id()); pod.ok()) {
    const auto pod_state = (*pod)->Get();
    spec.sandbox = *pod_state->spec;
    // Half-made ones may lack what a whole spec needs; they are undone.
    auto whole =
        RestoreSpec(state->record, pod_state->record, *pod_state->spec);
    if (state->record.phase() != record::CREATING) {
      Try("restore container " + Short(container->id()), whole.status(),
          report);
    }
    if (whole.ok()) {
      spec = *std::move(whole);
      complete = !state->record.has_resolved();
    }
  }
  if (complete) {
    const absl::Status resolved = runtime_->ResolveContainer(
        &spec, GetFacts(state->record).start.process);
    Try("complete container " + Short(container->id()), resolved, report);
    complete = resolved.ok();
  }
  RestoreImages(container, report);
  Try("restore",
      container->Update(complete ? Container::Write::kFactEvenUnrecorded
                                 : Container::Write::kNotInRecord,
                        [&](ContainerState* next) {
                          if (complete) Put(spec, &next->record);
                          next->spec =
                              std::make_shared<const runtime::ContainerSpec>(
                                  std::move(spec));
                          return absl::OkStatus();
                        }),
      report);
}

void Reconciler::RestoreImages(const ContainerPtr& container,
                               ReconcileReport* report) {
  const auto state = container->Get();
  ContainerImages images;
  bool whole = true;
  if (state->record.layer_dirs_size() > 0) {
    auto held = images_->Rehold(
        state->record.image_id(),
        {state->record.layer_dirs().begin(), state->record.layer_dirs().end()});
    Try("hold the image of container " + Short(container->id()), held.status(),
        report);
    whole = held.ok();
    if (held.ok()) images.root = *std::move(held);
  }
  auto volumes = ReholdVolumeImages(images_, state->record);
  Try("hold the volumes of container " + Short(container->id()),
      volumes.status(), report);
  whole &= volumes.ok();
  if (volumes.ok()) images.volumes = *std::move(volumes);
  container->HoldImages(std::move(images));
  const base::MutexLock lock(&mutex_);
  if (whole) {
    unheld_.erase(container->id());
  } else {
    unheld_.insert(container->id());
  }
}

void Reconciler::HoldBackImages() {
  bool unheld = false;
  {
    const base::MutexLock lock(&mutex_);
    unheld = !unheld_.empty();
  }
  images_->HoldBack(unheld || !store_->Unknown().empty());
}

}  // namespace warren::agent
