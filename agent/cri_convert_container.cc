#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "agent/capability_names.h"
#include "agent/cri_convert.h"
#include "agent/ids.h"
#include "agent/signal_names.h"
#include "agent/validate.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

constexpr char kSecurity[] = "config.linux.security_context";
constexpr size_t kMaxUserBytes = 256;

std::string InSecurity(absl::string_view name) {
  return absl::StrCat(kSecurity, ".", name);
}

// ---- Namespaces ----

bool SameMapping(
    const google::protobuf::RepeatedPtrField<cri::IDMapping>& asked,
    const std::vector<runtime::IdMapping>& pod) {
  return asked.size() == static_cast<int>(pod.size()) &&
         std::equal(pod.begin(), pod.end(), asked.begin(),
                    [](const runtime::IdMapping& a, const cri::IDMapping& b) {
                      return a.container_id == b.container_id() &&
                             a.host_id == b.host_id() && a.length == b.length();
                    });
}

// The whole pod shares one user namespace; a container that asks for another
// one must not get this one in silence.
absl::Status CheckUserNamespace(const cri::NamespaceOption& options,
                                const runtime::SandboxSpec& sandbox) {
  const cri::UserNamespace& user = options.userns_options();
  const bool own = options.has_userns_options() && user.mode() != cri::NODE;
  const bool same = own ? user.mode() == cri::POD &&
                              SameMapping(user.uids(), sandbox.uid_mappings) &&
                              SameMapping(user.gids(), sandbox.gid_mappings)
                        : sandbox.uid_mappings.empty() &&
                              user.uids_size() + user.gids_size() == 0;
  if (same) return absl::OkStatus();
  return Invalid(InSecurity("namespace_options.userns_options"),
                 "must equal those of the pod sandbox");
}

absl::Status ConvertPid(const cri::LinuxContainerSecurityContext& security,
                        const runtime::SandboxSpec& sandbox,
                        runtime::ContainerSpec* spec) {
  const std::string field = InSecurity("namespace_options.pid");
  spec->pid = sandbox.pid;
  if (!security.has_namespace_options()) return absl::OkStatus();
  const cri::NamespaceOption& options = security.namespace_options();
  switch (options.pid()) {
    case cri::POD:
      if (sandbox.pid == runtime::NamespaceMode::kContainer) {
        return Invalid(field,
                       "is POD, but the pod sandbox was made without a "
                       "pid namespace of its own (its mode is "
                       "CONTAINER)");
      }
      return absl::OkStatus();  // that of the pod, be it the node's
    case cri::CONTAINER:
      spec->pid = runtime::NamespaceMode::kContainer;
      return absl::OkStatus();
    case cri::NODE:
      if (!sandbox.uid_mappings.empty()) {
        return Invalid(field, "cannot be NODE in a pod with a user namespace");
      }
      spec->pid = runtime::NamespaceMode::kHost;
      return absl::OkStatus();
    case cri::TARGET:
      if (!IsIdPrefix(options.target_id())) {
        return Invalid(InSecurity("namespace_options.target_id"),
                       "must be the id of a container of the pod");
      }
      spec->pid = runtime::NamespaceMode::kTarget;
      spec->pid_target = options.target_id();
      return absl::OkStatus();
    default:
      return Invalid(
          field, absl::StrCat("is unknown: ", static_cast<int>(options.pid())));
  }
}

// ---- Who it runs as, and what that may do ----

absl::Status ConvertUser(const cri::LinuxContainerSecurityContext& security,
                         const image::Image& image,
                         runtime::UserRequest* user) {
  if (security.has_run_as_user()) {
    user->uid = security.run_as_user().value();
    RETURN_IF_ERROR(CheckId(InSecurity("run_as_user"), *user->uid));
  }
  user->username = security.run_as_username();
  RETURN_IF_ERROR(
      CheckText(InSecurity("run_as_username"), user->username, kMaxUserBytes));
  if (security.has_run_as_group()) {
    user->gid = security.run_as_group().value();
    RETURN_IF_ERROR(CheckId(InSecurity("run_as_group"), *user->gid));
    if (!user->uid.has_value() && user->username.empty()) {
      return Invalid(InSecurity("run_as_group"),
                     "needs run_as_user or run_as_username");
    }
  }
  for (int64_t group : security.supplemental_groups()) {
    RETURN_IF_ERROR(CheckId(InSecurity("supplemental_groups"), group));
    user->supplemental_groups.push_back(group);
  }
  switch (security.supplemental_groups_policy()) {
    case cri::Merge:
      break;
    case cri::Strict:
      user->strict_groups = true;
      break;
    default:
      return Invalid(InSecurity("supplemental_groups_policy"), "is unknown");
  }
  user->image_user = image.config.user;
  return absl::OkStatus();
}

absl::Status CopyPaths(
    absl::string_view field,
    const google::protobuf::RepeatedPtrField<std::string>& paths,
    std::vector<std::string>* out) {
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(std::string clean, CheckAbsolutePath(field, path));
    out->push_back(std::move(clean));
  }
  return absl::OkStatus();
}

absl::Status ConvertSecurity(const ContainerInputs& inputs,
                             const cri::LinuxContainerSecurityContext& security,
                             runtime::ContainerSpec* spec) {
  RETURN_IF_ERROR(
      CheckUserNamespace(security.namespace_options(), inputs.sandbox));
  RETURN_IF_ERROR(ConvertPid(security, inputs.sandbox, spec));
  RETURN_IF_ERROR(ConvertUser(security, inputs.image, &spec->user));
  RETURN_IF_ERROR(CheckSeccomp(InSecurity("seccomp"), security.has_seccomp(),
                               security.seccomp(),
                               security.seccomp_profile_path()));
  RETURN_IF_ERROR(CheckAppArmor(InSecurity("apparmor"), security.has_apparmor(),
                                security.apparmor(),
                                security.apparmor_profile()));
  RETURN_IF_ERROR(
      CheckSelinux(InSecurity("selinux_options"), security.selinux_options()));
  RETURN_IF_ERROR(CopyPaths(InSecurity("masked_paths"), security.masked_paths(),
                            &spec->masked_paths));
  RETURN_IF_ERROR(CopyPaths(InSecurity("readonly_paths"),
                            security.readonly_paths(), &spec->readonly_paths));
  ASSIGN_OR_RETURN(
      spec->capabilities,
      ApplyCapabilities(InSecurity("capabilities"), security.capabilities()));
  spec->readonly_rootfs = security.readonly_rootfs();
  spec->no_new_privs = security.no_new_privs();
  if (!security.privileged()) return absl::OkStatus();
  if (!inputs.sandbox_config.linux().security_context().privileged()) {
    return Invalid(InSecurity("privileged"), "needs a privileged pod sandbox");
  }
  spec->privileged = true;
  spec->capabilities = AllCapabilities();
  spec->masked_paths.clear();
  spec->readonly_paths.clear();
  return absl::OkStatus();
}

// ---- Mounts and devices ----

absl::StatusOr<runtime::MountPropagation> Propagation(
    absl::string_view field, cri::MountPropagation propagation) {
  switch (propagation) {
    case cri::PROPAGATION_PRIVATE:
      return runtime::MountPropagation::kPrivate;
    case cri::PROPAGATION_HOST_TO_CONTAINER:
      return runtime::MountPropagation::kHostToContainer;
    case cri::PROPAGATION_BIDIRECTIONAL:
      return runtime::MountPropagation::kBidirectional;
    default:
      return Invalid(field, "is unknown");
  }
}

absl::Status CheckMountIsBuilt(const std::string& field,
                               const cri::Mount& mount) {
  if (mount.has_image() || !mount.image_sub_path().empty()) {
    return NotBuilt(absl::StrCat(field, ".image"), "image volumes");
  }
  if (mount.uidmappings_size() + mount.gidmappings_size() != 0) {
    return NotBuilt(absl::StrCat(field, ".uidMappings"), "id-mapped mounts");
  }
  if (!mount.recursive_read_only()) return absl::OkStatus();
  const std::string recursive = absl::StrCat(field, ".recursive_read_only");
  if (!mount.readonly() || mount.propagation() != cri::PROPAGATION_PRIVATE) {
    return Invalid(recursive, "needs readonly and private propagation");
  }
  return absl::UnimplementedError(
      absl::StrCat("RROUnsupported: ", recursive,
                   ": recursively read-only mounts are not supported yet"));
}

// FS-6. A privileged container may have the node's /dev and /sys in place of
// its own; nobody may cover the root or procfs.
absl::Status CheckMountTarget(absl::string_view field,
                              const std::string& target, bool privileged) {
  if (target == "/" || target == "/proc" ||
      absl::StartsWith(target, "/proc/") ||
      (!privileged && (target == "/dev" || target == "/sys"))) {
    return Invalid(field,
                   absl::StrCat("nothing can be mounted over ", Shown(target)));
  }
  return absl::OkStatus();
}

absl::StatusOr<runtime::MountSpec> ConvertMount(const std::string& field,
                                                const cri::Mount& in,
                                                bool privileged) {
  runtime::MountSpec out;
  const std::string target_field = absl::StrCat(field, ".container_path");
  ASSIGN_OR_RETURN(out.container_path,
                   CheckAbsolutePath(target_field, in.container_path()));
  RETURN_IF_ERROR(
      CheckMountTarget(target_field, out.container_path, privileged));
  RETURN_IF_ERROR(CheckMountIsBuilt(field, in));
  ASSIGN_OR_RETURN(
      out.host_path,
      CheckAbsolutePath(absl::StrCat(field, ".host_path"), in.host_path()));
  out.readonly = in.readonly();
  ASSIGN_OR_RETURN(
      out.propagation,
      Propagation(absl::StrCat(field, ".propagation"), in.propagation()));
  return out;
}

absl::Status ConvertMounts(const cri::ContainerConfig& config,
                           runtime::ContainerSpec* spec) {
  for (int i = 0; i < config.mounts_size(); ++i) {
    ASSIGN_OR_RETURN(runtime::MountSpec mount,
                     ConvertMount(absl::StrCat("config.mounts[", i, "]"),
                                  config.mounts(i), spec->privileged));
    spec->mounts.push_back(std::move(mount));
  }
  // Parents before what lies in them, else as asked.
  const auto depth = [](const runtime::MountSpec& mount) {
    return std::count(mount.container_path.begin(), mount.container_path.end(),
                      '/');
  };
  std::stable_sort(
      spec->mounts.begin(), spec->mounts.end(),
      [&](const auto& a, const auto& b) { return depth(a) < depth(b); });
  if (config.devices_size() > 0) {
    return NotBuilt("config.devices", "devices of the node");
  }
  if (config.cdi_devices_size() > 0) {
    return NotBuilt("config.CDI_devices", "CDI devices");
  }
  return absl::OkStatus();
}

// ---- The program ----

absl::Status ConvertWorkingDir(const cri::ContainerConfig& config,
                               const image::Image& image,
                               runtime::ContainerSpec* spec) {
  if (!config.working_dir().empty()) {
    ASSIGN_OR_RETURN(spec->cwd, CheckAbsolutePath("config.working_dir",
                                                  config.working_dir()));
  } else if (!image.config.working_dir.empty()) {
    // Images may leave out the first slash.
    ASSIGN_OR_RETURN(spec->cwd,
                     CheckAbsolutePath("working directory of the image",
                                       "/" + image.config.working_dir));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> StopSignal(const cri::ContainerConfig& config,
                               const image::Image& image) {
  if (config.stop_signal() != cri::SIGNAL_RUNTIME_DEFAULT) {
    const int number = SignalFromCri(config.stop_signal());
    if (number != 0) return number;
    return Invalid(
        "config.stop_signal",
        absl::StrCat("is unknown: ", static_cast<int>(config.stop_signal())));
  }
  if (image.config.stop_signal.empty()) return SignalByName("TERM");
  const int number = SignalByName(image.config.stop_signal);
  if (number != 0) return number;
  return absl::FailedPreconditionError(
      absl::StrCat("the image's stop signal ", Shown(image.config.stop_signal),
                   " is unknown"));
}

absl::Status ConvertLog(const ContainerInputs& inputs,
                        runtime::ContainerSpec* spec) {
  const std::string& path = inputs.config.log_path();
  const std::string& directory = inputs.sandbox_config.log_directory();
  if (!path.empty()) {
    ASSIGN_OR_RETURN(spec->log_path,
                     CheckRelativePath("config.log_path", path));
  }
  if (path.empty() || directory.empty()) {
    spec->log_path.clear();  // output is dropped
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(
      spec->log_directory,
      CheckAbsolutePath("sandbox_config.log_directory", directory));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ConvertedContainer> ConvertContainer(
    const ContainerInputs& inputs) {
  const cri::ContainerConfig& config = inputs.config;
  RETURN_IF_ERROR(CheckName("config.metadata.name", config.metadata().name()));
  ConvertedContainer out;
  runtime::ContainerSpec& spec = out.spec;
  spec.id = inputs.id;
  spec.sandbox = inputs.sandbox;
  spec.layer_dirs = inputs.image.layer_dirs;
  spec.tty = config.tty();
  spec.stdin_open = config.stdin();
  RETURN_IF_ERROR(
      ConvertSecurity(inputs, config.linux().security_context(), &spec));
  if (config.linux().has_resources()) {
    ASSIGN_OR_RETURN(
        spec.resources,
        ConvertResources("config.linux.resources", config.linux().resources()));
    spec.oom_score_adj = *spec.resources.oom_score_adj;
  }
  RETURN_IF_ERROR(ConvertMounts(config, &spec));
  ASSIGN_OR_RETURN(spec.args, ProcessArgs(config, inputs.image.config));
  ASSIGN_OR_RETURN(spec.env, ProcessEnv(config, inputs.image.config,
                                        inputs.sandbox.hostname));
  RETURN_IF_ERROR(ConvertWorkingDir(config, inputs.image, &spec));
  RETURN_IF_ERROR(ConvertLog(inputs, &spec));
  ASSIGN_OR_RETURN(out.stop_signal, StopSignal(config, inputs.image));
  return out;
}

}  // namespace warren::agent
