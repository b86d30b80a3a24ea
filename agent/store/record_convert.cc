#include "agent/store/record_convert.h"

#include <map>
#include <optional>
#include <utility>

#include "agent/convert/convert.h"
#include "agent/store/record_specs.h"
#include "netplugin/ip.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

namespace record = ::warren::record::v1;

constexpr runtime::NamespaceKind kKinds[] = {
    runtime::NamespaceKind::kUser,   runtime::NamespaceKind::kMnt,
    runtime::NamespaceKind::kPid,    runtime::NamespaceKind::kNet,
    runtime::NamespaceKind::kIpc,    runtime::NamespaceKind::kUts,
    runtime::NamespaceKind::kCgroup, runtime::NamespaceKind::kTime};

void PutProcess(const base::ProcessId& process, record::ProcessId* out) {
  out->set_pid(process.pid);
  out->set_start_time(process.start_time);
}

}  // namespace

const char* NamespaceName(runtime::NamespaceKind kind) {
  switch (kind) {
    case runtime::NamespaceKind::kUser:
      return "user";
    case runtime::NamespaceKind::kMnt:
      return "mnt";
    case runtime::NamespaceKind::kPid:
      return "pid";
    case runtime::NamespaceKind::kNet:
      return "net";
    case runtime::NamespaceKind::kIpc:
      return "ipc";
    case runtime::NamespaceKind::kUts:
      return "uts";
    case runtime::NamespaceKind::kCgroup:
      return "cgroup";
    case runtime::NamespaceKind::kTime:
      return "time";
  }
  return "unknown";
}

const char* NamespaceModeName(runtime::NamespaceMode mode) {
  switch (mode) {
    case runtime::NamespaceMode::kPod:
      return "pod";
    case runtime::NamespaceMode::kContainer:
      return "container";
    case runtime::NamespaceMode::kHost:
      return "host";
    case runtime::NamespaceMode::kTarget:
      return "target";
  }
  return "unknown";
}

void Put(const runtime::SandboxFacts& facts, record::PodSandboxRecord* record) {
  record->clear_namespaces();
  for (const runtime::NamespaceFact& fact : facts.namespaces) {
    record::NamespaceFact* out = record->add_namespaces();
    out->set_kind(NamespaceName(fact.kind));
    out->set_inode(fact.inode);
    out->set_is_host(fact.is_host);
  }
  PutProcess(facts.pod_init, record->mutable_pod_init());
}

runtime::SandboxFacts GetFacts(const record::PodSandboxRecord& record) {
  runtime::SandboxFacts facts;
  for (const record::NamespaceFact& in : record.namespaces()) {
    for (runtime::NamespaceKind kind : kKinds) {
      if (in.kind() == NamespaceName(kind)) {
        facts.namespaces.push_back({kind, in.inode(), in.is_host()});
      }
    }
  }
  facts.pod_init = {record.pod_init().pid(), record.pod_init().start_time()};
  return facts;
}

void Put(const std::optional<netplugin::NetworkState>& network,
         record::PodSandboxRecord* record) {
  record->clear_lease_addresses();
  record->clear_network();
  if (!network.has_value()) return;
  record->mutable_network()->set_state(network->opaque);
  for (const netplugin::IpPrefix& address : network->addresses) {
    record->mutable_network()->add_addresses(address.ToString());
  }
}

bool HasNetwork(const record::PodSandboxRecord& record) {
  return record.has_network() || !record.lease_addresses().empty();
}

absl::StatusOr<std::optional<netplugin::NetworkState>> GetNetwork(
    const record::PodSandboxRecord& record) {
  if (!HasNetwork(record)) {
    return std::optional<netplugin::NetworkState>();
  }
  netplugin::NetworkState network;
  network.sandbox_id = record.id();
  network.opaque = record.network().state();
  for (const std::string& text : record.has_network()
                                     ? record.network().addresses()
                                     : record.lease_addresses()) {
    auto address = netplugin::IpPrefix::Parse(text);
    if (!address.ok()) return absl::DataLossError(address.status().message());
    network.addresses.push_back(*std::move(address));
  }
  return std::optional(std::move(network));
}

void Put(const runtime::ContainerFacts& facts,
         record::ContainerRecord* record) {
  record::User* user = record->mutable_user();
  user->set_uid(facts.user.uid);
  user->set_gid(facts.user.gid);
  user->mutable_groups()->Assign(facts.user.groups.begin(),
                                 facts.user.groups.end());
  user->set_home(facts.user.home);
  record->clear_devices();
  for (const runtime::DeviceNode& node : facts.devices) {
    record::DeviceNode* out = record->add_devices();
    out->set_container_path(node.container_path);
    out->set_host_path(node.host_path);
    out->set_type(node.number.type);
    out->set_major(node.number.major);
    out->set_minor(node.number.minor);
    out->set_mode(node.mode);
    out->set_uid(node.uid);
    out->set_gid(node.gid);
    out->set_access(node.access);
  }
}

runtime::ContainerFacts GetFacts(const record::ContainerRecord& record) {
  const record::User& user = record.user();
  runtime::ContainerFacts facts;
  facts.user = {user.uid(),
                user.gid(),
                {user.groups().begin(), user.groups().end()},
                user.home()};
  for (const record::DeviceNode& in : record.devices()) {
    facts.devices.push_back({in.container_path(),
                             in.host_path(),
                             {in.type(), in.major(), in.minor()},
                             in.mode(),
                             in.uid(),
                             in.gid(),
                             static_cast<uint8_t>(in.access())});
  }
  facts.start = {{record.process().pid(), record.process().start_time()},
                 {record.shim().pid(), record.shim().start_time()},
                 record.started_at_ns()};
  return facts;
}

void Put(const runtime::StartFacts& facts, record::ContainerRecord* record) {
  PutProcess(facts.process, record->mutable_process());
  PutProcess(facts.shim, record->mutable_shim());
  record->set_started_at_ns(facts.started_at_ns);
}

namespace {

// ---- Records of version 1 --------------------------------------------------
//
// They have no resolved spec. The request is converted again; what was decided
// then (arguments, environment, layers, mounts of CDI) is taken from the
// record, so that a changed image or node changes nothing (EXE-5).

CdiEdits GetCdi(const record::ContainerRecord& record) {
  CdiEdits edits;
  for (const record::CdiMount& in : record.cdi_mounts()) {
    runtime::MountSpec mount;
    mount.container_path = in.container_path();
    mount.host_path = in.host_path();
    mount.readonly = in.readonly();
    mount.propagation =
        static_cast<runtime::MountPropagation>(in.propagation());
    mount.nosuid = in.nosuid();
    mount.nodev = in.nodev();
    mount.noexec = in.noexec();
    mount.recursive = in.recursive();
    edits.mounts.push_back(std::move(mount));
  }
  return edits;
}

absl::StatusOr<runtime::SandboxSpec> ConvertOld(
    const record::PodSandboxRecord& record, const HostFacts& host) {
  HostFacts facts = host;
  facts.modules.decided_before = true;
  std::optional<runtime::IdMapping> granted;
  if (record.granted_ids().length() != 0) {
    granted = {0, record.granted_ids().start(), record.granted_ids().length()};
  }
  return ConvertSandbox(record.id(), record.config(), facts, granted);
}

absl::StatusOr<runtime::ContainerSpec> ConvertOld(
    const record::ContainerRecord& record,
    const record::PodSandboxRecord& sandbox_record,
    const runtime::SandboxSpec& sandbox) {
  image::Image image;
  image.id = record.image_id();
  image.layer_dirs = {record.layer_dirs().begin(), record.layer_dirs().end()};
  // Stands in for an image that may be gone; replaced below.
  image.config.entrypoint = {"-"};
  image.config.volumes = {record.volumes().begin(), record.volumes().end()};
  std::map<int, image::Image> volumes;
  ContainerInputs inputs = {record.id(), record.config(),
                            sandbox_record.config(), sandbox, image};
  for (const record::VolumeImage& in : record.volume_images()) {
    image::Image& volume = volumes[in.mount()];
    volume.id = in.image_id();
    volume.layer_dirs = {in.layer_dirs().begin(), in.layer_dirs().end()};
    inputs.volume_images[in.mount()] = &volume;
  }
  // What was allowed then stays allowed, whatever the node has now.
  inputs.modules.decided_before = true;
  inputs.policy.ambient_capabilities = true;
  const CdiEdits cdi = GetCdi(record);
  inputs.cdi = &cdi;
  ASSIGN_OR_RETURN(ConvertedContainer converted, ConvertContainer(inputs));
  runtime::ContainerSpec spec = std::move(converted.spec);
  spec.args = {record.args().begin(), record.args().end()};
  spec.env = {record.env().begin(), record.env().end()};
  spec.cwd = record.cwd();
  spec.apparmor_profile = record.apparmor_profile();
  spec.selinux_label = record.selinux_label();
  return spec;
}

}  // namespace

absl::StatusOr<runtime::SandboxSpec> RestoreSpec(
    const record::PodSandboxRecord& record, const HostFacts& host) {
  if (record.has_resolved()) return GetSpec(record);
  return ConvertOld(record, host);
}

absl::StatusOr<runtime::ContainerSpec> RestoreSpec(
    const record::ContainerRecord& record,
    const record::PodSandboxRecord& sandbox_record,
    const runtime::SandboxSpec& sandbox) {
  ASSIGN_OR_RETURN(runtime::ContainerSpec spec,
                   record.has_resolved()
                       ? GetSpec(record, sandbox)
                       : ConvertOld(record, sandbox_record, sandbox));
  spec.user = {};
  spec.user.uid = record.user().uid();
  spec.user.gid = record.user().gid();
  spec.user.supplemental_groups = {record.user().groups().begin(),
                                   record.user().groups().end()};
  spec.user.strict_groups = true;
  return spec;
}

}  // namespace warren::agent
