#include <absl/strings/str_cat.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "agent/convert/parts.h"
#include "agent/cri/capability_names.h"
#include "agent/cri/ids.h"
#include "agent/cri/validate.h"
#include "runtime/base/status.h"

// The security context of a container.
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
// one must not get this one in silence. When neither pod nor container says
// anything, the container gets what the pod was given.
absl::Status CheckUserNamespace(const cri::NamespaceOption& options,
                                const cri::NamespaceOption& pod_options,
                                const runtime::SandboxSpec& sandbox) {
  if (!options.has_userns_options() && !pod_options.has_userns_options()) {
    return absl::OkStatus();
  }
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

// net and ipc are the pod's, whatever those are. A container may name the
// node's only where its pod has them.
absl::Status CheckShared(absl::string_view name, cri::NamespaceMode mode,
                         runtime::NamespaceMode pod) {
  const std::string field =
      InSecurity(absl::StrCat("namespace_options.", name));
  if (mode == cri::POD) return absl::OkStatus();
  if (mode != cri::NODE) {
    return Invalid(field, absl::StrCat("must be POD or NODE, is ",
                                       static_cast<int>(mode)));
  }
  if (pod == runtime::NamespaceMode::kHost) return absl::OkStatus();
  return Invalid(field,
                 "is NODE, but the pod sandbox has a namespace of its own");
}

absl::Status CheckNamespaces(const cri::NamespaceOption& options,
                             const runtime::SandboxSpec& sandbox) {
  RETURN_IF_ERROR(CheckShared("network", options.network(), sandbox.network));
  RETURN_IF_ERROR(CheckShared("ipc", options.ipc(), sandbox.ipc));
  if (options.pid() != cri::TARGET && !options.target_id().empty()) {
    return Invalid(InSecurity("namespace_options.target_id"),
                   "is only allowed with pid mode TARGET");
  }
  return absl::OkStatus();
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
  RETURN_IF_ERROR(CheckGroups(InSecurity("supplemental_groups"),
                              security.supplemental_groups()));
  user->supplemental_groups.assign(security.supplemental_groups().begin(),
                                   security.supplemental_groups().end());
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

// Its own options, else those of the pod.
const cri::SELinuxOption& SelinuxOptions(const ContainerInputs& inputs) {
  const cri::LinuxContainerSecurityContext& own =
      inputs.config.linux().security_context();
  return own.has_selinux_options() ? own.selinux_options()
                                   : inputs.sandbox_config.linux()
                                         .security_context()
                                         .selinux_options();
}

absl::Status ConvertLabels(const ContainerInputs& inputs,
                           runtime::ContainerSpec* spec) {
  const cri::LinuxContainerSecurityContext& security =
      inputs.config.linux().security_context();
  ASSIGN_OR_RETURN(
      spec->apparmor_profile,
      AppArmorProfile(InSecurity("apparmor"),
                      {security.has_apparmor(), security.apparmor(),
                       security.apparmor_profile(), security.privileged()},
                      inputs.modules, inputs.policy.apparmor_default_profile));
  SecurityModules modules = inputs.modules;
  // A privileged container has no label: nothing need be there to apply it.
  modules.decided_before |= security.privileged();
  ASSIGN_OR_RETURN(spec->selinux_label,
                   SelinuxLabel(InSecurity("selinux_options"),
                                SelinuxOptions(inputs), modules));
  spec->selinux_pod_level = inputs.sandbox_config.linux()
                                .security_context()
                                .selinux_options()
                                .level();
  return absl::OkStatus();
}

absl::Status ConvertCapabilities(const cri::Capability& request,
                                 const NodePolicy& policy,
                                 runtime::ContainerSpec* spec) {
  const std::string field = InSecurity("capabilities");
  if (request.add_ambient_capabilities_size() > 0 &&
      !policy.ambient_capabilities) {
    return absl::UnimplementedError(
        absl::StrCat(field,
                     ".add_ambient_capabilities: not enabled on this node "
                     "(security.ambient_capabilities)"));
  }
  ASSIGN_OR_RETURN(const CapabilitySets sets,
                   ApplyCapabilities(field, request));
  spec->capabilities = sets.bounding;
  spec->ambient_capabilities = sets.ambient;
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

}  // namespace

absl::Status ConvertSecurity(const ContainerInputs& inputs,
                             runtime::ContainerSpec* spec) {
  const cri::LinuxContainerSecurityContext& security =
      inputs.config.linux().security_context();
  RETURN_IF_ERROR(
      CheckNamespaces(security.namespace_options(), inputs.sandbox));
  RETURN_IF_ERROR(CheckUserNamespace(
      security.namespace_options(),
      inputs.sandbox_config.linux().security_context().namespace_options(),
      inputs.sandbox));
  RETURN_IF_ERROR(ConvertPid(security, inputs.sandbox, spec));
  RETURN_IF_ERROR(ConvertUser(security, inputs.image, &spec->user));
  ASSIGN_OR_RETURN(
      spec->seccomp,
      ConvertSeccomp(InSecurity("seccomp"), security.has_seccomp(),
                     security.seccomp(), security.seccomp_profile_path()));
  RETURN_IF_ERROR(ConvertLabels(inputs, spec));
  RETURN_IF_ERROR(CopyPaths(InSecurity("masked_paths"), security.masked_paths(),
                            &spec->masked_paths));
  RETURN_IF_ERROR(CopyPaths(InSecurity("readonly_paths"),
                            security.readonly_paths(), &spec->readonly_paths));
  RETURN_IF_ERROR(
      ConvertCapabilities(security.capabilities(), inputs.policy, spec));
  spec->readonly_rootfs = security.readonly_rootfs();
  spec->no_new_privs = security.no_new_privs();
  if (!security.privileged()) return absl::OkStatus();
  if (!inputs.sandbox_config.linux().security_context().privileged()) {
    return Invalid(InSecurity("privileged"), "needs a privileged pod sandbox");
  }
  spec->privileged = true;
  spec->capabilities = AllCapabilities();
  spec->seccomp = {};
  spec->masked_paths.clear();
  spec->readonly_paths.clear();
  return absl::OkStatus();
}

}  // namespace warren::agent
