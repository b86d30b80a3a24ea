#include "runtime/launch/request.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include "runtime/namespaces/table.h"

namespace warren::runtime {
namespace {

// What the CRI's users expect of /dev/shm.
constexpr uint64_t kShmBytes = 64 << 20;

void AddMappings(const std::vector<IdMapping>& mappings,
                 google::protobuf::RepeatedPtrField<shim::v1::IdMapping>* out) {
  for (const IdMapping& m : mappings) {
    shim::v1::IdMapping* o = out->Add();
    o->set_container_id(m.container_id);
    o->set_host_id(m.host_id);
    o->set_length(m.length);
  }
}

void AddPlacement(CgroupPlacement placement, LaunchRequest* request,
                  shim::v1::CgroupPlacement* out) {
  out->set_v2_dir_fd(request->Give(std::move(placement.v2_dir)));
  for (base::UniqueFd& procs : placement.v1_procs) {
    out->add_v1_procs_fds(request->Give(std::move(procs)));
  }
}

// What a container's program and its exec sessions have in common.
void FillProcess(const ContainerSpec& spec, const User& user,
                 const Privileges& privileges, const seccomp::Program* filter,
                 const std::vector<std::string>& args,
                 shim::v1::Process* process) {
  for (const std::string& arg : args) process->add_args(arg);
  bool has_home = false;
  for (const std::string& entry : spec.env) {
    process->add_env(entry);
    has_home |= absl::StartsWith(entry, "HOME=");
  }
  if (!has_home) process->add_env(absl::StrCat("HOME=", user.home));
  process->set_cwd(spec.cwd.empty() ? "/" : spec.cwd);
  process->set_uid(user.uid);
  process->set_gid(user.gid);
  for (const uint32_t gid : user.groups) process->add_groups(gid);
  const uint64_t capabilities = privileges.ClampCapabilities(
      spec.capabilities, HasUserNamespace(spec.sandbox));
  process->set_cap_bounding(capabilities);
  process->set_cap_effective(capabilities);
  process->set_cap_ambient(spec.ambient_capabilities & capabilities);
  process->set_apparmor_profile(spec.apparmor_profile);
  process->set_selinux_label(spec.selinux_label);
  process->set_no_new_privs(spec.no_new_privs);
  process->set_oom_score_adj(privileges.ClampOomScoreAdj(spec.oom_score_adj));
  if (filter != nullptr) {
    process->set_seccomp_program(filter->instructions);
    process->set_seccomp_flags(filter->flags);
  }
}

}  // namespace

uint32_t LaunchRequest::Lend(int fd) {
  if (fd < 0) return 0;
  fds_.push_back(fd);
  return static_cast<uint32_t>(fds_.size());
}

uint32_t LaunchRequest::Give(base::UniqueFd fd) {
  const uint32_t place = Lend(fd.get());
  owned_.push_back(std::move(fd));
  return place;
}

LaunchRequest BuildSandboxLaunch(SandboxLaunchParts parts) {
  const SandboxSpec& spec = *parts.spec;
  LaunchRequest request;
  request.message.set_id(spec.id);
  shim::v1::SandboxLaunch* s = request.message.mutable_sandbox();
  s->set_clone_flags(parts.clone_flags);
  AddMappings(spec.uid_mappings, s->mutable_uid_mappings());
  AddMappings(spec.gid_mappings, s->mutable_gid_mappings());
  s->set_boottime_offset_ns(spec.time_offsets.boottime_ns);
  s->set_monotonic_offset_ns(spec.time_offsets.monotonic_ns);
  s->set_hostname(spec.hostname);
  for (const auto& [name, value] : spec.sysctls) {
    shim::v1::Sysctl* sysctl = s->add_sysctls();
    sysctl->set_name(name);
    sysctl->set_value(value);
  }
  s->set_pod_init(spec.pid == NamespaceMode::kPod);
  if (s->pod_init()) {
    AddPlacement(std::move(parts.placement), &request,
                 s->mutable_pod_init_cgroup());
    s->set_template_mnt_ns_fd(request.Lend(parts.template_ns_fd));
  }
  s->set_pin_mnt_ns_fd(request.Lend(parts.pins_ns_fd));
  s->set_pin_dir_fd(request.Lend(parts.pin_dir_fd));
  if (spec.ipc == NamespaceMode::kPod) s->set_shm_size_bytes(kShmBytes);
  return request;
}

LaunchRequest BuildContainerLaunch(ContainerLaunchParts parts) {
  const ContainerSpec& spec = *parts.spec;
  LaunchRequest request;
  request.message.set_id(spec.id);
  shim::v1::ContainerLaunch* c = request.message.mutable_container();
  FillProcess(spec, *parts.user, *parts.privileges, parts.filter, spec.args,
              c->mutable_process());
  for (auto& [flag, fd] : parts.join) {
    shim::v1::JoinNamespace* join = c->add_join();
    join->set_flag(flag);
    join->set_fd(request.Give(std::move(fd)));
  }
  c->set_clone_flags(ContainerCloneFlags(spec));
  c->set_template_mnt_ns_fd(request.Lend(parts.template_ns_fd));
  c->set_rootfs_fd(request.Give(std::move(parts.rootfs)));
  c->set_readonly_rootfs(spec.readonly_rootfs);
  c->set_rootfs_propagation(parts.rootfs_propagation);
  if (parts.shift_owners) {
    AddMappings(spec.sandbox.uid_mappings, c->mutable_shift_uids());
    AddMappings(spec.sandbox.gid_mappings, c->mutable_shift_gids());
  }
  for (OpenedMount& mount : parts.mounts) {
    mount.op.set_fd(request.Give(std::move(mount.source)));
    mount.op.set_peer_fd(request.Give(std::move(mount.peer)));
    *c->add_mounts() = std::move(mount.op);
  }
  c->set_null_fd(request.Lend(parts.null_fd));
  AddPlacement(std::move(parts.placement), &request, c->mutable_cgroup());
  c->set_oom_fd(request.Give(std::move(parts.oom_file)));
  c->set_oom_v2(parts.cgroup_v2);
  c->set_run_dir_fd(request.Give(std::move(parts.run_dir)));
  c->set_log_dir_fd(request.Give(std::move(parts.log_dir)));
  c->set_log_name(parts.log_name);
  c->set_log_cpu_percent(parts.log_cpu_percent);
  c->set_tty(spec.tty);
  c->set_stdin_open(spec.stdin_open);
  return request;
}

LaunchRequest BuildExecLaunch(ExecLaunchParts parts) {
  const ContainerSpec& spec = *parts.spec;
  LaunchRequest request;
  request.message.set_id(spec.id);
  shim::v1::ExecLaunch* e = request.message.mutable_exec();
  FillProcess(spec, *parts.user, *parts.privileges, parts.filter, *parts.args,
              e->mutable_process());
  e->set_target_pidfd(request.Lend(parts.target_pidfd));
  e->set_setns_flags(parts.setns_flags);
  AddPlacement(std::move(parts.placement), &request, e->mutable_cgroup());
  if (parts.terminal.has_value()) {
    e->set_tty(true);
    e->set_rows(parts.terminal->rows);
    e->set_columns(parts.terminal->columns);
  } else {
    e->set_stdin_fd(request.Give(std::move(parts.stdin_fd)));
    e->set_stdout_fd(request.Give(std::move(parts.stdout_fd)));
    e->set_stderr_fd(request.Give(std::move(parts.stderr_fd)));
  }
  e->set_cgroup_procs_fd(request.Give(std::move(parts.procs)));
  e->set_null_fd(request.Lend(parts.null_fd));
  return request;
}

}  // namespace warren::runtime
