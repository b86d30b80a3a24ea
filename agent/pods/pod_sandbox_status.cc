#include "agent/pods/info_json.h"
#include "agent/pods/object_filter.h"
#include "agent/pods/pod_sandbox_manager.h"
#include "agent/store/lifecycle.h"
#include "runtime/base/status.h"

// What can be seen of pod sandboxes; looks at snapshots only.
namespace warren::agent {
namespace {

cri::PodSandboxStatus ToStatus(const PodSandboxState& state) {
  const record::PodSandboxRecord& record = state.record;
  cri::PodSandboxStatus out;
  out.set_id(record.id());
  *out.mutable_metadata() = record.config().metadata();
  out.set_state(PublicState(record));
  out.set_created_at(record.created_at_ns());
  *out.mutable_labels() = record.config().labels();
  *out.mutable_annotations() = record.config().annotations();
  out.set_runtime_handler(record.runtime_handler());
  // As asked; absent options are CRI's zero values, POD everywhere.
  *out.mutable_linux()->mutable_namespaces()->mutable_options() =
      record.config().linux().security_context().namespace_options();
  // Without addresses (node network, or stopped) `ip` stays empty.
  cri::PodSandboxNetworkStatus* network = out.mutable_network();
  if (!state.network.has_value()) return out;
  for (const netplugin::IpPrefix& address : state.network->addresses) {
    if (network->ip().empty()) {
      network->set_ip(address.address.ToString());
    } else {
      network->add_additional_ips()->set_ip(address.address.ToString());
    }
  }
  return out;
}

cri::PodSandbox ToItem(const PodSandboxState& state) {
  const record::PodSandboxRecord& record = state.record;
  cri::PodSandbox out;
  out.set_id(record.id());
  *out.mutable_metadata() = record.config().metadata();
  out.set_state(PublicState(record));
  out.set_created_at(record.created_at_ns());
  *out.mutable_labels() = record.config().labels();
  *out.mutable_annotations() = record.config().annotations();
  out.set_runtime_handler(record.runtime_handler());
  return out;
}

}  // namespace

absl::StatusOr<cri::PodSandboxStatusResponse> PodSandboxManager::Status(
    const std::string& id, bool verbose) const {
  ASSIGN_OR_RETURN(const PodSandboxPtr sandbox, store_->FindSandbox(id));
  const auto state = sandbox->Get();
  if (state->withdrawn) {
    return absl::NotFoundError("the pod sandbox is being removed");
  }
  cri::PodSandboxStatusResponse response;
  *response.mutable_status() = ToStatus(*state);
  if (verbose) {
    (*response.mutable_info())["info"] =
        SandboxInfo(*state, *sandbox->timings());
  }
  return response;
}

std::vector<cri::PodSandbox> PodSandboxManager::List(
    const cri::PodSandboxFilter& filter) const {
  std::vector<cri::PodSandbox> items;
  for (const PodSandboxPtr& sandbox : Select(*store_, filter)) {
    items.push_back(ToItem(*sandbox->Get()));
  }
  return items;
}

}  // namespace warren::agent
