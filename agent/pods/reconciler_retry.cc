#include <absl/strings/str_cat.h>

#include <utility>
#include <vector>

#include "agent/pods/reconciler.h"
#include "agent/store/record_convert.h"

// What nobody could tell at the start: left alone, and looked at again.
namespace warren::agent {

ReconcileReport Reconciler::Retry() {
  patience_ = base::Deadline::After(kPatience);
  RetryRecords();
  if (held_back_ && store_->Unknown().empty()) {
    // Every record was read and has its layers held.
    held_back_ = false;
    images_->HoldBack(false);
    Try("collect unused image data", images_->CollectGarbage());
  }
  for (const auto& entry : std::exchange(unknown_, {})) {
    const std::string& id = entry.first;
    const Unknown& unknown = entry.second;
    // Pods and containers have the same locks, and no common type.
    const auto look_again = [&](const auto& object) {
      const OperationLock::Guard turn = object->TryLock();
      if (object->gone()) return;
      if (turn.held()) {
        LookAgain(object);
      } else {
        Doubt(id, unknown);
      }
    };
    if (unknown.container != nullptr) {
      look_again(unknown.container);
    } else {
      look_again(unknown.sandbox);
    }
  }
  ReportUnknown();
  return std::exchange(report_, {});
}

void Reconciler::RetryRecords() {
  Store::Retried found = store_->RetryUnknown();
  report_.quarantined = std::move(found.quarantined);
  if (found.sandboxes.empty() && found.containers.empty()) return;
  const HostFacts host = ReadHostFacts(*clock_, NodePolicy());
  for (Store::ReservedSandbox& pod : found.sandboxes) {
    RestoreSandbox(pod.object, host);
    store_->Publish(pod.object);
    Doubt(pod.object->id(), {.container = nullptr,
                             .sandbox = pod.object,
                             .why = "its record was read late"});
  }
  for (Store::ReservedContainer& container : found.containers) {
    RestoreContainer(container.object);
    store_->Publish(container.object);
    Doubt(container.object->id(), {.container = container.object,
                                   .sandbox = nullptr,
                                   .why = "its record was read late"});
  }
}

void Reconciler::LookAgain(const ContainerPtr& container) {
  const std::string pod_id = container->Get()->record.sandbox_id();
  if (store_->IsUnknown(pod_id)) {
    Doubt(container->id(),
          {.container = container,
           .sandbox = nullptr,
           .why = absl::StrCat("container ", Short(container->id()),
                               ": the record of its pod cannot be read")});
    return;
  }
  // Without its pod it had a bare spec.
  if (container->Get()->spec->sandbox.id.empty()) RestoreContainer(container);
  ReconcileInput input;
  input.boot_id = store_->boot_id();
  if (auto pod = store_->FindSandbox(pod_id); pod.ok()) {
    input.sandboxes.push_back((*pod)->Get()->record);
  }
  input.containers.push_back(container->Get()->record);
  ApplyContainers(Plan(input));
}

void Reconciler::LookAgain(const PodSandboxPtr& sandbox) {
  ReconcileInput input;
  input.boot_id = store_->boot_id();
  input.sandboxes.push_back(sandbox->Get()->record);
  ApplySandboxes(Plan(input));
}

void Reconciler::Doubt(const std::string& id, Unknown unknown) {
  unknown_.insert_or_assign(id, std::move(unknown));
}

void Reconciler::ReportUnknown() {
  for (const auto& [id, unknown] : unknown_) {
    report_.unknown.push_back(unknown.why);
  }
  for (const UnknownRecord& record : store_->Unknown()) {
    report_.unknown.push_back(absl::StrCat(record.file, ": ", record.reason));
  }
}

void Reconciler::LeaveUnknown(ReconcileInput* input) {
  const auto unknown = [this](const std::string& id) {
    return store_->IsUnknown(id);
  };
  std::erase_if(input->kernel_sandboxes, unknown);
  std::erase_if(input->kernel_containers, unknown);
  // The pod of these is not gone. They cannot be adopted without it.
  // Nor are they orphans.
  std::erase_if(input->containers, [&](const record::ContainerRecord& record) {
    if (!unknown(record.sandbox_id())) return false;
    std::erase(input->kernel_containers, record.id());
    if (auto container = store_->FindContainer(record.id()); container.ok()) {
      LookAgain(*container);
    }
    return true;
  });
}

}  // namespace warren::agent
