#include "agent/pods/container_manager.h"

#include <absl/strings/str_cat.h>

#include <utility>

#include "agent/convert/convert.h"
#include "agent/cri/ids.h"
#include "agent/cri/validate.h"
#include "agent/pods/same_request.h"
#include "agent/store/lifecycle.h"
#include "agent/store/record_convert.h"
#include "agent/store/record_specs.h"
#include "agent/store/timings.h"
#include "runtime/base/status.h"
#include "runtime/base/undo_stack.h"

namespace warren::agent {
namespace {

absl::Status CheckPodReady(const PodSandbox& pod) {
  if (pod.Get()->record.phase() == record::RUNNING) return absl::OkStatus();
  const std::string& why = pod.Get()->record.ended_because();
  return absl::FailedPreconditionError(absl::StrCat(
      "the pod sandbox is not ready", why.empty() ? "" : ": ", why));
}

// The request brings the pod's configuration along. It is what it was at
// RunPodSandbox, which is kept, so only its identity is compared.
absl::Status CheckRequest(const cri::CreateContainerRequest& request,
                          const PodSandboxState& pod) {
  RETURN_IF_ERROR(
      CheckName("config.metadata.name", request.config().metadata().name()));
  if (request.config().image().image().empty()) {
    return Invalid("config.image.image", "is required");
  }
  const cri::PodSandboxMetadata& given = request.sandbox_config().metadata();
  const cri::PodSandboxMetadata& kept = pod.record.config().metadata();
  RETURN_IF_ERROR(CheckSandboxMetadata("sandbox_config.metadata", given));
  if (given.name() != kept.name() || given.namespace_() != kept.namespace_() ||
      given.uid() != kept.uid()) {
    return Invalid("sandbox_config.metadata", "is not that of the pod sandbox");
  }
  return absl::OkStatus();
}

// Image facts of a status: kept, because the image may go first.
void PutImage(const image::Image& image, const std::string& asked,
              record::ContainerRecord* record) {
  record->set_image_id(image.id);
  record->set_image_ref(image.repo_digests.empty() ? image.id
                                                   : image.repo_digests[0]);
  record->set_image_name(image.repo_tags.empty() ? asked : image.repo_tags[0]);
}

}  // namespace

ContainerManager::ContainerManager(runtime::Runtime* runtime,
                                   image::ImageStore* images, Store* store,
                                   const base::Clock* clock, NodePolicy policy,
                                   DevicePolicy devices)
    : runtime_(runtime),
      images_(images),
      store_(store),
      clock_(clock),
      policy_(std::move(policy)),
      devices_belong_to_user_(devices.belong_to_user),
      cdi_(std::move(devices.cdi_directories)),
      exits_(std::make_shared<ExitDoor>()) {
  exits_->manager = this;
  runtime_->SetExitCallback(
      [door = exits_](const std::string& id, const runtime::ExitRecord& exit) {
        absl::ReaderMutexLock lock(&door->mutex);
        if (door->manager != nullptr) door->manager->OnExit(id, exit);
      });
}

ContainerManager::~ContainerManager() {
  runtime_->SetExitCallback(
      [](const std::string&, const runtime::ExitRecord&) {});
  // Some may be under way on the runtime's threads.
  absl::MutexLock lock(&exits_->mutex);
  exits_->manager = nullptr;
}

absl::StatusOr<std::string> ContainerManager::Create(
    const cri::CreateContainerRequest& request, const CallContext& call) {
  ASSIGN_OR_RETURN(const PodSandboxPtr pod,
                   store_->FindSandbox(request.pod_sandbox_id()));
  RETURN_IF_ERROR(CheckRequest(request, *pod->Get()));
  const cri::ContainerMetadata& metadata = request.config().metadata();
  const ContainerName name = {pod->id(), metadata.name(), metadata.attempt()};
  ContainerState intent;
  ASSIGN_OR_RETURN(const std::string id, NewId());
  intent.record.set_id(id);
  intent.record.set_sandbox_id(pod->id());
  intent.record.set_phase(record::CREATING);
  intent.record.set_boot_id(store_->boot_id());
  intent.record.set_created_at_ns(clock_->RealNow());
  *intent.record.mutable_config() = request.config();
  intent.record.mutable_config()->DiscardUnknownFields();  // of any size
  runtime::ContainerSpec bare;  // until the request is resolved
  bare.id = id;
  bare.sandbox = *pod->Get()->spec;
  intent.spec = std::make_shared<const runtime::ContainerSpec>(bare);
  for (;;) {
    Store::ReservedContainer reserved = store_->Reserve(name, intent);
    if (reserved.guard.held()) {
      RETURN_IF_ERROR(Build(reserved.object, pod));
      return id;
    }
    // As with pod sandboxes: no id is given out that look-ups do not find.
    const ContainerPtr& other = reserved.object;
    ASSIGN_OR_RETURN(const OperationLock::Guard guard, other->Lock(call));
    if (other->gone()) continue;
    if (IsOnItsWayOut(other->Get()->record.phase())) {
      RETURN_IF_ERROR_IN(RemoveLocked(other, call),
                         "remove the container that had the name");
      continue;
    }
    RETURN_IF_ERROR(CheckAgain(*other, intent.record.config(), *pod));
    return other->id();
  }
}

absl::Status ContainerManager::CheckAgain(const Container& container,
                                          const cri::ContainerConfig& config,
                                          const PodSandbox& pod) {
  // Validated before compared: what is refused under a free name is refused
  // under a taken one. That the image has gone since refuses nothing, because
  // the container holds it.
  const auto state = container.Get();
  const absl::Status valid =
      Resolve(container.id(), config, *pod.Get()).status();
  const bool image_went =
      absl::IsNotFound(valid) &&
      config.image().image() == state->record.config().image().image();
  if (!image_went) RETURN_IF_ERROR(valid);
  const std::string what =
      absl::StrCat("the container name \"", config.metadata().name(),
                   "\", attempt ", config.metadata().attempt());
  const record::Phase phase = state->record.phase();
  if (phase != record::CREATED && phase != record::STARTING &&
      phase != record::RUNNING) {
    return absl::AlreadyExistsError(
        absl::StrCat(what, ", belongs to an exited container of the pod"));
  }
  return CheckSame(what, DifferingFields(state->record.config(), config));
}

absl::Status ContainerManager::Build(const ContainerPtr& container,
                                     const PodSandboxPtr& pod) {
  base::UndoStack undo;
  const absl::Status status = Assemble(container, pod, &undo);
  if (status.ok()) {
    undo.Release();
    store_->Publish(container);
    return status;
  }
  absl::Status undone = undo.Unwind();
  if (undone.ok()) undone = store_->Erase(container);
  if (undone.ok()) return status;
  // Lists show the container as EXITED until its removal succeeds (REL-7),
  // which the reconcile loop tries from now on.
  store_->Problem(
      absl::StrCat("record of container ", container->id()),
      container->Update(
          Container::Write::kFactEvenUnrecorded, [&](ContainerState* state) {
            RETURN_IF_ERROR(SetStartFailed(status.message(), clock_->RealNow(),
                                           &state->record));
            return Advance(&state->record, record::REMOVING);
          }));
  store_->Publish(container);
  reconcile_.Fire({ReconcileKey::Kind::kContainer, container->id()});
  return absl::Status(
      status.code(),
      absl::StrCat(
          status.message(),
          "; what was made so far could not be undone: ", undone.message()));
}

absl::StatusOr<ContainerManager::Resolved> ContainerManager::Resolve(
    const std::string& id, const cri::ContainerConfig& config,
    const PodSandboxState& pod) {
  Resolved resolved;
  auto hold = images_->Hold(config.image().image());
  if (absl::IsNotFound(hold.status())) {
    return absl::NotFoundError(absl::StrCat("image ",
                                            Shown(config.image().image()),
                                            " is not present on this node"));
  }
  if (!hold.ok()) {
    return base::Annotate(hold.status(), "image of the container");
  }
  resolved.hold = *std::move(hold);
  ASSIGN_OR_RETURN(resolved.volume_holds, HoldVolumeImages(images_, config));
  ASSIGN_OR_RETURN(const std::vector<CdiName> cdi_names, CdiNames(config));
  ASSIGN_OR_RETURN(resolved.cdi, cdi_.Resolve(cdi_names));
  ASSIGN_OR_RETURN(
      resolved.converted,
      ConvertContainer({id, config, pod.record.config(), *pod.spec,
                        resolved.hold->image(), ImagesOf(resolved.volume_holds),
                        ReadSecurityModules(), policy_, &resolved.cdi,
                        devices_belong_to_user_}));
  return resolved;
}

absl::Status ContainerManager::Assemble(const ContainerPtr& container,
                                        const PodSandboxPtr& pod,
                                        base::UndoStack* undo) {
  PhaseTimer timer(container->timings(), clock_);
  // After the name was reserved: StopPodSandbox first marks the sandbox, then
  // looks for containers, so one of the two sees the other.
  RETURN_IF_ERROR(CheckPodReady(*pod));
  const auto pod_state = pod->Get();
  const cri::ContainerConfig config = container->Get()->record.config();
  ASSIGN_OR_RETURN(Resolved resolved,
                   Resolve(container->id(), config, *pod_state));
  ConvertedContainer& converted = resolved.converted;
  RETURN_IF_ERROR(ResolvePidTarget(pod->id(), &converted.spec));
  RETURN_IF_ERROR(runtime_->ResolveContainer(&converted.spec, {}));
  const auto spec =
      std::make_shared<const runtime::ContainerSpec>(converted.spec);
  timer.Done("resolve");
  RETURN_IF_ERROR(container->Update(
      Container::Write::kRecordedOrNothing, [&](ContainerState* state) {
        state->spec = spec;
        Put(resolved.volume_holds, &state->record);
        PutImage(resolved.hold->image(), config.image().image(),
                 &state->record);
        Put(*spec, &state->record);
        state->record.set_stop_signal(converted.stop_signal);
        return absl::OkStatus();
      }));
  container->HoldImages(
      {std::move(resolved.hold), std::move(resolved.volume_holds)});
  timer.Done("intent");
  ASSIGN_OR_RETURN(const runtime::ContainerFacts facts,
                   runtime_->CreateContainer(*spec));
  undo->Push("remove the container", [this, spec] {
    return runtime_->RemoveContainer(*spec, base::Deadline::Never());
  });
  timer.Done("rootfs");
  RETURN_IF_ERROR(container->Update(
      Container::Write::kRecordedOrNothing, [&](ContainerState* state) {
        Put(facts, &state->record);
        return Advance(&state->record, record::CREATED);
      }));
  timer.Done("result");
  return absl::OkStatus();
}

absl::Status ContainerManager::ResolvePidTarget(const std::string& sandbox_id,
                                                runtime::ContainerSpec* spec) {
  if (spec->pid != runtime::NamespaceMode::kTarget) return absl::OkStatus();
  const char* field =
      "config.linux.security_context.namespace_options."
      "target_id";
  auto target = store_->FindContainer(spec->pid_target);
  if (!target.ok() || (*target)->Get()->record.sandbox_id() != sandbox_id) {
    return Invalid(field, "is no container of the pod sandbox");
  }
  if (PublicState((*target)->Get()->record) != cri::CONTAINER_RUNNING) {
    return absl::FailedPreconditionError(
        absl::StrCat(field, ": the target container is not running"));
  }
  spec->pid_target = (*target)->id();
  return absl::OkStatus();
}

absl::Status ContainerManager::Start(const std::string& id,
                                     const CallContext& call) {
  ASSIGN_OR_RETURN(const ContainerPtr container, store_->FindContainer(id));
  ASSIGN_OR_RETURN(const OperationLock::Guard guard, container->Lock(call));
  if (container->gone()) {
    return absl::NotFoundError("the container was removed meanwhile");
  }
  return StartLocked(container);
}

absl::Status ContainerManager::StartLocked(const ContainerPtr& container) {
  const auto state = container->Get();
  if (state->record.phase() != record::CREATED) {
    return absl::FailedPreconditionError(
        absl::StrCat("the container is ",
                     cri::ContainerState_Name(PublicState(state->record)),
                     ", only a created one can be started"));
  }
  PhaseTimer timer(container->timings(), clock_);
  ASSIGN_OR_RETURN(const PodSandboxPtr pod,
                   store_->FindSandbox(state->record.sandbox_id()));
  RETURN_IF_ERROR(CheckPodReady(*pod));
  runtime::ContainerSpec target = *state->spec;
  RETURN_IF_ERROR(ResolvePidTarget(pod->id(), &target));
  RETURN_IF_ERROR(container->Update(
      Container::Write::kRecordedOrNothing, [](ContainerState* next) {
        return Advance(&next->record, record::STARTING);
      }));
  timer.Done("start intent");
  // A start is finished even when its caller has left: one that was given up
  // would leave the container EXITED.
  const auto started =
      runtime_->StartContainer(container->id(), base::Deadline::Never());
  timer.Done("start");
  const auto apply = [&](ContainerState* next) -> absl::Status {
    const int64_t now = clock_->RealNow();
    if (!started.ok()) {
      return SetStartFailed(started.status().message(), now, &next->record);
    }
    RETURN_IF_ERROR(Advance(&next->record, record::RUNNING));
    Put(*started, &next->record);
    if (!next->early_exit.has_value()) return absl::OkStatus();
    return SetExited(*next->early_exit, now, &next->record);
  };
  store_->Problem(
      absl::StrCat("record of container ", container->id()),
      container->Update(Container::Write::kFactEvenUnrecorded, apply));
  if (started.ok()) return absl::OkStatus();
  // Processes of the failed start must not stay.
  store_->Problem("kill after a failed start",
                  runtime_->KillContainer(container->id()));
  return started.status();
}

}  // namespace warren::agent
