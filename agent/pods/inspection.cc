#include "agent/pods/inspection.h"

#include <absl/strings/str_cat.h>
#include <sys/stat.h>

#include <utility>

#include "agent/store/lifecycle.h"
#include "agent/store/record_convert.h"
#include "agent/store/timings.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

namespace node = ::warren::node::v1;

void Put(const runtime::NamespaceView& view, node::Namespace* out) {
  out->set_kind(NamespaceName(view.kind));
  out->set_inode(view.inode);
  out->set_mode(NamespaceModeName(view.mode));
  out->set_is_host(view.is_host);
  out->set_owner_user_inode(view.owner_user_inode);
}

void Put(const runtime::ProcessView& view, node::Process* out) {
  out->set_host_pid(view.host_pid);
  out->set_inner_pid(view.inner_pid);
  out->set_host_uid(view.uid);
  out->set_host_gid(view.gid);
  out->set_command(view.command);
}

void Put(const runtime::MountView& view, node::MountPoint* out) {
  out->set_target(view.target);
  out->set_fs_type(view.fs_type);
  out->set_source(view.source);
  out->set_options(view.options);
}

void Put(const runtime::IdMapping& mapping, node::IdMapping* out) {
  out->set_container_id(mapping.container_id);
  out->set_host_id(mapping.host_id);
  out->set_length(mapping.length);
}

template <typename View>
void PutTimings(const Timings& timings, View* out) {
  for (const Timings::Phase& phase : timings.Get()) {
    node::PhaseTiming* timing = out->add_timings();
    timing->set_phase(phase.name);
    timing->set_microseconds(phase.nanoseconds / 1000);
  }
}

void Put(const runtime::SandboxView& view, node::PodSandboxView* out) {
  for (const auto& ns : view.namespaces) Put(ns, out->add_namespaces());
  for (const auto& map : view.uid_mappings) Put(map, out->add_uid_mappings());
  for (const auto& map : view.gid_mappings) Put(map, out->add_gid_mappings());
  out->set_hostname(view.hostname);
  out->set_boottime_offset_ns(view.time_offsets.boottime_ns);
  out->set_monotonic_offset_ns(view.time_offsets.monotonic_ns);
  out->set_cgroup_parent(view.cgroup_parent);
  if (!view.pod_init.empty()) Put(view.pod_init[0], out->mutable_pod_init());
}

void Put(const netplugin::NetnsView& view, node::PodSandboxView* out) {
  for (const netplugin::LinkView& link : view.links) {
    node::Interface* to = out->add_interfaces();
    to->set_name(link.name);
    to->set_mac(link.mac);
    to->set_mtu(link.mtu);
    to->set_up(link.up);
    to->mutable_addresses()->Assign(link.addresses.begin(),
                                    link.addresses.end());
  }
  for (const netplugin::RouteView& route : view.routes) {
    node::Route* to = out->add_routes();
    to->set_destination(route.destination);
    to->set_gateway(route.gateway);
    to->set_device(route.device);
  }
}

void Put(const runtime::ContainerView& view, node::ContainerView* out) {
  for (const auto& ns : view.namespaces) Put(ns, out->add_namespaces());
  for (const auto& process : view.processes) {
    Put(process, out->add_processes());
  }
  for (const auto& mount : view.mounts) Put(mount, out->add_mounts());
  out->set_cgroup_path(view.cgroup_path);
  out->set_hostname(view.hostname);
}

// The daemon lives in the node's namespaces; /proc/self/ns is where the
// kernel names them (namespaces(7)).
void PutHostNamespaces(node::InspectPodSandboxResponse* response) {
  for (const char* kind :
       {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"}) {
    struct stat st;
    if (stat(absl::StrCat("/proc/self/ns/", kind).c_str(), &st) != 0) {
      continue;  // a kernel without that kind
    }
    node::HostNamespace* out = response->add_host_namespaces();
    out->set_kind(kind);
    out->set_inode(st.st_ino);
  }
}

absl::Status PutPod(const PodSandbox& sandbox, runtime::Runtime* runtime,
                    netplugin::PodNetwork* network, node::PodSandboxView* out) {
  const auto state = sandbox.Get();
  const auto& metadata = state->record.config().metadata();
  const bool ready = PublicState(state->record) == cri::SANDBOX_READY;
  out->set_id(sandbox.id());
  out->set_name(metadata.name());
  out->set_namespace_(metadata.namespace_());
  out->set_uid(metadata.uid());
  out->set_state(ready ? "READY" : "NOTREADY");
  out->set_host_ifname(state->record.host_ifname());
  PutTimings(*sandbox.timings(), out);
  if (!ready) return absl::OkStatus();
  ASSIGN_OR_RETURN(const runtime::SandboxView view,
                   runtime->InspectSandbox(*state->spec));
  Put(view, out);
  if (state->spec->network == runtime::NamespaceMode::kHost) {
    return absl::OkStatus();  // the node's links are not the pod's
  }
  ASSIGN_OR_RETURN(const base::UniqueFd netns,
                   runtime->OpenSandboxNetns(sandbox.id()));
  ASSIGN_OR_RETURN(const netplugin::NetnsView links,
                   network->Inspect(netns.get()));
  Put(links, out);
  return absl::OkStatus();
}

absl::Status PutContainer(const Container& container, runtime::Runtime* runtime,
                          node::ContainerView* out) {
  const auto state = container.Get();
  out->set_id(container.id());
  out->set_name(state->record.config().metadata().name());
  out->set_state(cri::ContainerState_Name(PublicState(state->record)));
  PutTimings(*container.timings(), out);
  if (PublicState(state->record) != cri::CONTAINER_RUNNING) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const runtime::ContainerView view,
                   runtime->InspectContainer(container.id()));
  Put(view, out);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<node::InspectPodSandboxResponse> InspectPodSandbox(
    const std::string& id, const Store& store, runtime::Runtime* runtime,
    netplugin::PodNetwork* network) {
  ASSIGN_OR_RETURN(const PodSandboxPtr sandbox, store.FindSandbox(id));
  node::InspectPodSandboxResponse response;
  // What stops during the call is shown without the kernel's facts.
  const absl::Status pod =
      PutPod(*sandbox, runtime, network, response.mutable_pod());
  if (!pod.ok() && PublicState(sandbox->Get()->record) == cri::SANDBOX_READY) {
    return base::Annotate(pod, "look at the pod sandbox");
  }
  for (const ContainerPtr& container : store.ContainersOf(sandbox->id())) {
    if (container->Get()->record.phase() == record::CREATING) continue;
    const absl::Status status =
        PutContainer(*container, runtime, response.add_containers());
    if (!status.ok() &&
        PublicState(container->Get()->record) == cri::CONTAINER_RUNNING) {
      return base::Annotate(status, "look at a container");
    }
  }
  PutHostNamespaces(&response);
  return response;
}

}  // namespace warren::agent
