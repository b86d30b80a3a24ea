#include "agent/store/record_specs.h"

#include <absl/strings/str_cat.h>

#include <string>
#include <utility>
#include <vector>

#include "runtime/base/status.h"

namespace warren::agent {
namespace {

namespace record = ::warren::record::v1;

// Each Put below takes its struct apart by name, so that a new member does not
// compile until it has a place in the record.

using Texts = google::protobuf::RepeatedPtrField<std::string>;

void PutAll(const std::vector<std::string>& from, Texts* to) {
  to->Assign(from.begin(), from.end());
}

std::vector<std::string> All(const Texts& from) {
  return {from.begin(), from.end()};
}

// An enum of the runtime, whose last value is `last`.
template <typename Enum>
absl::Status GetEnum(int32_t number, Enum last, absl::string_view what,
                     Enum* out) {
  if (number < 0 || number > static_cast<int32_t>(last)) {
    return absl::DataLossError(
        absl::StrCat("record: no such ", what, ": ", number));
  }
  *out = static_cast<Enum>(number);
  return absl::OkStatus();
}

absl::Status GetMode(int32_t number, runtime::NamespaceMode* out) {
  return GetEnum(number, runtime::NamespaceMode::kTarget, "namespace mode",
                 out);
}

using Mappings = google::protobuf::RepeatedPtrField<record::IdMapping>;

void PutMappings(const std::vector<runtime::IdMapping>& from, Mappings* to) {
  to->Clear();
  for (const auto& [container_id, host_id, length] : from) {
    record::IdMapping* out = to->Add();
    out->set_container_id(container_id);
    out->set_host_id(host_id);
    out->set_length(length);
  }
}

std::vector<runtime::IdMapping> GetMappings(const Mappings& from) {
  std::vector<runtime::IdMapping> to;
  for (const record::IdMapping& in : from) {
    to.push_back({in.container_id(), in.host_id(), in.length()});
  }
  return to;
}

void PutLeaf(const runtime::CgroupLeaf& leaf, record::CgroupLeaf* out) {
  const auto& [path, own_parent, inner] = leaf;
  out->set_path(path);
  out->set_own_parent(own_parent);
  out->set_inner(inner);
}

runtime::CgroupLeaf GetLeaf(const record::CgroupLeaf& in) {
  runtime::CgroupLeaf leaf(in.path(), in.own_parent());
  leaf.inner = in.inner();
  return leaf;
}

void PutSeccomp(const runtime::SeccompChoice& choice, record::Seccomp* out) {
  const auto& [mode, localhost_path] = choice;
  out->set_mode(static_cast<int32_t>(mode));
  out->set_localhost_path(localhost_path);
}

absl::Status GetSeccomp(const record::Seccomp& in,
                        runtime::SeccompChoice* out) {
  out->localhost_path = in.localhost_path();
  return GetEnum(in.mode(), runtime::SeccompMode::kLocalhost, "seccomp mode",
                 &out->mode);
}

void PutLimits(const runtime::Resources& limits, record::Limits* out) {
  const auto& [cpu_shares, cpu_quota_us, cpu_period_us, memory_limit_bytes,
               memory_swap_limit_bytes, pids_limit, cpuset_cpus, cpuset_mems,
               oom_score_adj, hugepage_limits, unified] = limits;
  out->set_cpu_shares(cpu_shares);
  out->set_cpu_quota_us(cpu_quota_us);
  out->set_cpu_period_us(cpu_period_us);
  out->set_memory_limit_bytes(memory_limit_bytes);
  out->set_memory_swap_limit_bytes(memory_swap_limit_bytes);
  out->set_pids_limit(pids_limit);
  out->set_cpuset_cpus(cpuset_cpus);
  out->set_cpuset_mems(cpuset_mems);
  if (oom_score_adj.has_value()) out->set_oom_score_adj(*oom_score_adj);
  for (const auto& [size, limit] : hugepage_limits) {
    (*out->mutable_hugepage_limits())[size] = limit;
  }
  for (const auto& [file, value] : unified) {
    (*out->mutable_unified())[file] = value;
  }
}

runtime::Resources GetLimits(const record::Limits& in) {
  runtime::Resources limits;
  limits.cpu_shares = in.cpu_shares();
  limits.cpu_quota_us = in.cpu_quota_us();
  limits.cpu_period_us = in.cpu_period_us();
  limits.memory_limit_bytes = in.memory_limit_bytes();
  limits.memory_swap_limit_bytes = in.memory_swap_limit_bytes();
  limits.pids_limit = in.pids_limit();
  limits.cpuset_cpus = in.cpuset_cpus();
  limits.cpuset_mems = in.cpuset_mems();
  if (in.has_oom_score_adj()) limits.oom_score_adj = in.oom_score_adj();
  limits.hugepage_limits = {in.hugepage_limits().begin(),
                            in.hugepage_limits().end()};
  limits.unified = {in.unified().begin(), in.unified().end()};
  return limits;
}

void PutMount(const runtime::MountSpec& mount, record::Mount* out) {
  const auto& [container_path, host_path, readonly, propagation,
               recursive_readonly, uid_mappings, gid_mappings,
               mapped_by_default, image_layers, image_sub_path, nosuid, nodev,
               noexec, recursive, selinux_relabel] = mount;
  out->set_container_path(container_path);
  out->set_host_path(host_path);
  out->set_readonly(readonly);
  out->set_propagation(static_cast<int32_t>(propagation));
  out->set_recursive_readonly(recursive_readonly);
  PutMappings(uid_mappings, out->mutable_uid_mappings());
  PutMappings(gid_mappings, out->mutable_gid_mappings());
  out->set_mapped_by_default(mapped_by_default);
  PutAll(image_layers, out->mutable_image_layers());
  out->set_image_sub_path(image_sub_path);
  out->set_nosuid(nosuid);
  out->set_nodev(nodev);
  out->set_noexec(noexec);
  out->set_recursive(recursive);
  out->set_selinux_relabel(selinux_relabel);
}

absl::StatusOr<runtime::MountSpec> GetMount(const record::Mount& in) {
  runtime::MountSpec mount;
  mount.container_path = in.container_path();
  mount.host_path = in.host_path();
  mount.readonly = in.readonly();
  RETURN_IF_ERROR(GetEnum(in.propagation(),
                          runtime::MountPropagation::kBidirectional,
                          "mount propagation", &mount.propagation));
  mount.recursive_readonly = in.recursive_readonly();
  mount.uid_mappings = GetMappings(in.uid_mappings());
  mount.gid_mappings = GetMappings(in.gid_mappings());
  mount.mapped_by_default = in.mapped_by_default();
  mount.image_layers = All(in.image_layers());
  mount.image_sub_path = in.image_sub_path();
  mount.nosuid = in.nosuid();
  mount.nodev = in.nodev();
  mount.noexec = in.noexec();
  mount.recursive = in.recursive();
  mount.selinux_relabel = in.selinux_relabel();
  return mount;
}

}  // namespace

void Put(const runtime::SandboxSpec& spec, record::PodSandboxRecord* record) {
  const auto& [id, network, ipc, pid, uid_mappings, gid_mappings, time_offsets,
               time_offsets_requested, hostname, sysctls, cgroup_parent, cgroup,
               resolv_conf, hosts, seccomp] = spec;
  const auto& [boottime_ns, monotonic_ns] = time_offsets;
  record->set_id(id);
  record->clear_resolved();
  record::ResolvedSandbox* out = record->mutable_resolved();
  out->set_network(static_cast<int32_t>(network));
  out->set_ipc(static_cast<int32_t>(ipc));
  out->set_pid(static_cast<int32_t>(pid));
  PutMappings(uid_mappings, out->mutable_uid_mappings());
  PutMappings(gid_mappings, out->mutable_gid_mappings());
  out->set_monotonic_ns(monotonic_ns);
  out->set_boottime_ns(boottime_ns);
  out->set_time_offsets_requested(time_offsets_requested);
  out->set_hostname(hostname);
  for (const auto& [name, value] : sysctls) {
    record::Sysctl* sysctl = out->add_sysctls();
    sysctl->set_name(name);
    sysctl->set_value(value);
  }
  out->set_cgroup_parent(cgroup_parent);
  PutLeaf(cgroup, out->mutable_cgroup());
  out->set_resolv_conf(resolv_conf);
  out->set_hosts(hosts);
  PutSeccomp(seccomp, out->mutable_seccomp());
}

absl::StatusOr<runtime::SandboxSpec> GetSpec(
    const record::PodSandboxRecord& record) {
  const record::ResolvedSandbox& in = record.resolved();
  runtime::SandboxSpec spec;
  spec.id = record.id();
  RETURN_IF_ERROR(GetMode(in.network(), &spec.network));
  RETURN_IF_ERROR(GetMode(in.ipc(), &spec.ipc));
  RETURN_IF_ERROR(GetMode(in.pid(), &spec.pid));
  spec.uid_mappings = GetMappings(in.uid_mappings());
  spec.gid_mappings = GetMappings(in.gid_mappings());
  spec.time_offsets = {in.boottime_ns(), in.monotonic_ns()};
  spec.time_offsets_requested = in.time_offsets_requested();
  spec.hostname = in.hostname();
  for (const record::Sysctl& sysctl : in.sysctls()) {
    spec.sysctls.emplace_back(sysctl.name(), sysctl.value());
  }
  spec.cgroup_parent = in.cgroup_parent();
  spec.cgroup = GetLeaf(in.cgroup());
  spec.resolv_conf = in.resolv_conf();
  spec.hosts = in.hosts();
  RETURN_IF_ERROR(GetSeccomp(in.seccomp(), &spec.seccomp));
  return spec;
}

void Put(const runtime::ContainerSpec& spec, record::ContainerRecord* record) {
  const auto& [id, sandbox, cgroup, layer_dirs, readonly_rootfs, args, env, cwd,
               user, tty, stdin_open, pid, pid_target, mounts, volumes, devices,
               capabilities, ambient_capabilities, apparmor_profile,
               selinux_label, selinux_pod_level, privileged, no_new_privs,
               seccomp, masked_paths, readonly_paths, resources, oom_score_adj,
               log_directory, log_path] = spec;
  record->set_id(id);
  PutAll(layer_dirs, record->mutable_layer_dirs());
  record->clear_resolved();
  record::ResolvedContainer* out = record->mutable_resolved();
  PutLeaf(cgroup, out->mutable_cgroup());
  out->set_readonly_rootfs(readonly_rootfs);
  PutAll(args, out->mutable_args());
  PutAll(env, out->mutable_env());
  out->set_cwd(cwd);
  out->set_tty(tty);
  out->set_stdin_open(stdin_open);
  out->set_pid(static_cast<int32_t>(pid));
  out->set_pid_target(pid_target);
  for (const runtime::MountSpec& mount : mounts) {
    PutMount(mount, out->add_mounts());
  }
  PutAll(volumes, out->mutable_volumes());
  out->set_capabilities(capabilities);
  out->set_ambient_capabilities(ambient_capabilities);
  out->set_apparmor_profile(apparmor_profile);
  out->set_selinux_label(selinux_label);
  out->set_selinux_pod_level(selinux_pod_level);
  out->set_privileged(privileged);
  out->set_no_new_privs(no_new_privs);
  PutSeccomp(seccomp, out->mutable_seccomp());
  PutAll(masked_paths, out->mutable_masked_paths());
  PutAll(readonly_paths, out->mutable_readonly_paths());
  PutLimits(resources, out->mutable_resources());
  out->set_oom_score_adj(oom_score_adj);
  out->set_log_directory(log_directory);
  out->set_log_path(log_path);
}

absl::StatusOr<runtime::ContainerSpec> GetSpec(
    const record::ContainerRecord& record,
    const runtime::SandboxSpec& sandbox) {
  const record::ResolvedContainer& in = record.resolved();
  runtime::ContainerSpec spec;
  spec.id = record.id();
  spec.sandbox = sandbox;
  spec.cgroup = GetLeaf(in.cgroup());
  spec.layer_dirs = All(record.layer_dirs());
  spec.readonly_rootfs = in.readonly_rootfs();
  spec.args = All(in.args());
  spec.env = All(in.env());
  spec.cwd = in.cwd();
  spec.tty = in.tty();
  spec.stdin_open = in.stdin_open();
  RETURN_IF_ERROR(GetMode(in.pid(), &spec.pid));
  spec.pid_target = in.pid_target();
  for (const record::Mount& mount : in.mounts()) {
    ASSIGN_OR_RETURN(runtime::MountSpec got, GetMount(mount));
    spec.mounts.push_back(std::move(got));
  }
  spec.volumes = All(in.volumes());
  spec.capabilities = in.capabilities();
  spec.ambient_capabilities = in.ambient_capabilities();
  spec.apparmor_profile = in.apparmor_profile();
  spec.selinux_label = in.selinux_label();
  spec.selinux_pod_level = in.selinux_pod_level();
  spec.privileged = in.privileged();
  spec.no_new_privs = in.no_new_privs();
  RETURN_IF_ERROR(GetSeccomp(in.seccomp(), &spec.seccomp));
  spec.masked_paths = All(in.masked_paths());
  spec.readonly_paths = All(in.readonly_paths());
  spec.resources = GetLimits(in.resources());
  spec.oom_score_adj = in.oom_score_adj();
  spec.log_directory = in.log_directory();
  spec.log_path = in.log_path();
  return spec;
}

}  // namespace warren::agent
