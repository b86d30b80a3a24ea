#include "agent/pods/pod_sandbox_manager.h"

#include <absl/strings/str_cat.h>

#include <optional>
#include <utility>

#include "agent/convert/convert.h"
#include "agent/convert/network.h"
#include "agent/cri/ids.h"
#include "agent/host/facts.h"
#include "agent/pods/container_manager.h"
#include "agent/pods/same_request.h"
#include "agent/store/lifecycle.h"
#include "agent/store/record_convert.h"
#include "agent/store/record_specs.h"
#include "agent/store/timings.h"
#include "runtime/base/deadline.h"
#include "runtime/base/status.h"
#include "runtime/base/undo_stack.h"

namespace warren::agent {
namespace {

PodSandboxState IntentOf(const cri::RunPodSandboxRequest& request,
                         runtime::SandboxSpec spec, const Store& store,
                         int64_t now_ns) {
  PodSandboxState state;
  state.record.set_id(spec.id);
  state.record.set_phase(record::CREATING);
  state.record.set_boot_id(store.boot_id());
  state.record.set_created_at_ns(now_ns);
  state.record.set_runtime_handler(request.runtime_handler());
  *state.record.mutable_config() = request.config();
  state.record.mutable_config()->DiscardUnknownFields();  // of any size
  const cri::LinuxPodSandboxConfig& linux_config = request.config().linux();
  if (linux_config.has_overhead()) {
    *state.record.mutable_overhead() = linux_config.overhead();
  }
  if (linux_config.has_resources()) {
    *state.record.mutable_resources() = linux_config.resources();
  }
  state.spec = std::make_shared<const runtime::SandboxSpec>(std::move(spec));
  return state;
}

// A reply that says which of two failures is the reason and which the sequel.
absl::Status WithSequel(const absl::Status& status, absl::string_view sequel,
                        const absl::Status& next) {
  return absl::Status(status.code(), absl::StrCat(status.message(), "; ",
                                                  sequel, next.message()));
}

}  // namespace

PodSandboxManager::PodSandboxManager(runtime::Runtime* runtime,
                                     netplugin::PodNetwork* network,
                                     Store* store, ContainerManager* containers,
                                     const base::Clock* clock,
                                     NodePolicy policy, IdSpan userns_pool)
    : runtime_(runtime),
      network_(network),
      store_(store),
      containers_(containers),
      clock_(clock),
      policy_(std::move(policy)),
      userns_pool_(userns_pool) {
  {
    absl::MutexLock lock(&pod_inits_->mutex);
    pod_inits_->manager = this;
  }
  runtime_->SetPodInitCallback([door = pod_inits_](const std::string& id) {
    absl::ReaderMutexLock lock(&door->mutex);
    if (door->manager != nullptr) door->manager->OnPodInitExit(id);
  });
}

PodSandboxManager::~PodSandboxManager() {
  runtime_->SetPodInitCallback([](const std::string&) {});
  // Some may be under way on the runtime's threads.
  absl::MutexLock lock(&pod_inits_->mutex);
  pod_inits_->manager = nullptr;
}

absl::StatusOr<std::string> PodSandboxManager::Run(
    const cri::RunPodSandboxRequest& request, const CallContext& call) {
  RETURN_IF_ERROR(
      CheckRuntimeHandler("runtime_handler", request.runtime_handler()));
  ASSIGN_OR_RETURN(const std::string id, NewId());
  ASSIGN_OR_RETURN(
      runtime::SandboxSpec spec,
      ConvertSandbox(id, request.config(), ReadHostFacts(*clock_, policy_)));
  RETURN_IF_ERROR(runtime_->ResolveSandbox(&spec, {}));
  if (spec.network == runtime::NamespaceMode::kPod) {
    ASSIGN_OR_RETURN(const netplugin::PodRequest network,
                     ConvertNetwork(id, request.config()));
    RETURN_IF_ERROR(CheckNetworkIsBuilt(network));
  }
  const PodSandboxState intent =
      IntentOf(request, std::move(spec), *store_, clock_->RealNow());
  const cri::PodSandboxMetadata& metadata = request.config().metadata();
  const PodSandboxName name = {metadata.name(), metadata.namespace_(),
                               metadata.uid(), metadata.attempt()};
  for (;;) {
    Store::ReservedSandbox reserved = store_->Reserve(name, intent);
    if (reserved.guard.held()) {
      RETURN_IF_ERROR(Build(reserved.object));
      return id;
    }
    // The name is taken: wait for a creation under way, then see. Without the
    // wait an id could be given out that look-ups do not find yet.
    const PodSandboxPtr& other = reserved.object;
    ASSIGN_OR_RETURN(const OperationLock::Guard guard, other->Lock(call));
    if (other->gone()) continue;
    const auto state = other->Get();
    if (IsOnItsWayOut(state->record.phase())) {
      RETURN_IF_ERROR_IN(RemoveLocked(other, call),
                         "remove the pod sandbox that had the name");
      continue;
    }
    const std::string what = absl::StrCat(
        "the pod sandbox name \"", metadata.name(), "\" of namespace \"",
        metadata.namespace_(), "\", attempt ", metadata.attempt());
    if (state->record.phase() != record::RUNNING) {
      return absl::AlreadyExistsError(
          absl::StrCat(what, ", belongs to a stopped pod sandbox"));
    }
    RETURN_IF_ERROR(CheckSame(
        what, DifferingFields(state->record.config(), request.config())));
    return other->id();
  }
}

absl::Status PodSandboxManager::Build(const PodSandboxPtr& sandbox) {
  base::UndoStack undo;
  {
    const base::MutexLock lock(&building_mutex_);
    building_[sandbox->id()] = false;
  }
  const absl::Status status = Assemble(sandbox, &undo);
  if (status.ok()) {
    undo.Release();
    store_->Publish(sandbox);
  }
  bool ended = false;
  {
    const base::MutexLock lock(&building_mutex_);
    ended = building_.extract(sandbox->id()).mapped();
  }
  if (status.ok()) {
    if (ended) EndByItself(sandbox, kPodInitEnded);
    return status;
  }
  absl::Status undone = undo.Unwind();
  if (undone.ok()) undone = store_->Erase(sandbox);
  if (undone.ok()) return status;
  // What is left must stay visible (REL-7): lists show the pod until its
  // removal succeeds, which the reconcile loop tries from now on. Processes
  // that are left may still use its ids.
  RestoreIds(sandbox);
  store_->Problem(absl::StrCat("record of pod sandbox ", sandbox->id()),
                  sandbox->Update(PodSandbox::Write::kFactEvenUnrecorded,
                                  [](PodSandboxState* state) {
                                    return Advance(&state->record,
                                                   record::REMOVING);
                                  }));
  store_->Publish(sandbox);
  containers_->reconcile()->Fire({ReconcileKey::Kind::kSandbox, sandbox->id()});
  return WithSequel(status,
                    "what was made so far could not be undone: ", undone);
}

absl::Status PodSandboxManager::Assemble(const PodSandboxPtr& sandbox,
                                         base::UndoStack* undo) {
  PhaseTimer timer(sandbox->timings(), clock_);
  RETURN_IF_ERROR(TakeIds(sandbox, undo));
  auto spec = sandbox->Get()->spec;
  std::optional<netplugin::NetworkState> network;
  if (spec->network == runtime::NamespaceMode::kPod) {
    ASSIGN_OR_RETURN(const netplugin::PodRequest request,
                     ConvertNetwork(spec->id, sandbox->Get()->record.config()));
    ASSIGN_OR_RETURN_IN(
        network,
        network_->Prepare(request, base::Deadline::After(kNetworkPatience)),
        "take an address for the pod");
    undo->Push("give the pod's network back",
               [this, sandbox] { return TearDownNetwork(sandbox); });
    runtime::SandboxSpec named = *spec;
    AddOwnName(network->addresses, &named);
    spec = std::make_shared<const runtime::SandboxSpec>(std::move(named));
    RETURN_IF_ERROR(sandbox->Update(PodSandbox::Write::kNotInRecord,
                                    [&](PodSandboxState* state) {
                                      state->network = network;
                                      state->spec = spec;
                                      return absl::OkStatus();
                                    }));
    timer.Done("lease");
  }
  RETURN_IF_ERROR(sandbox->Update(PodSandbox::Write::kRecordedOrNothing,
                                  [&](PodSandboxState* state) {
                                    Put(*state->spec, &state->record);
                                    Put(network, &state->record);
                                    return absl::OkStatus();
                                  }));
  timer.Done("intent");
  ASSIGN_OR_RETURN_IN(const runtime::SandboxFacts facts,
                      runtime_->CreateSandbox(*spec),
                      "make the namespaces of the pod");
  undo->Push("remove the pod's namespaces", [this, spec] {
    return runtime_->RemoveSandbox(*spec, base::Deadline::Never());
  });
  timer.Done("namespaces");
  netplugin::Attachment attachment;
  if (network.has_value()) {
    ASSIGN_OR_RETURN(const base::UniqueFd netns,
                     runtime_->OpenSandboxNetns(spec->id));
    ASSIGN_OR_RETURN_IN(
        attachment,
        network_->Attach(*network, netns.get(),
                         base::Deadline::After(kNetworkPatience)),
        "connect the pod to the network");
    network = attachment.state;
    timer.Done("network");
  }
  RETURN_IF_ERROR(sandbox->Update(
      PodSandbox::Write::kRecordedOrNothing, [&](PodSandboxState* state) {
        Put(facts, &state->record);
        Put(network, &state->record);
        state->network = network;
        state->record.set_host_ifname(attachment.host_ifname);
        return Advance(&state->record, record::RUNNING);
      }));
  timer.Done("result");
  return absl::OkStatus();
}

}  // namespace warren::agent
