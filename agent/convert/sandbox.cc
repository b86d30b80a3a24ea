#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/convert/convert.h"
#include "agent/convert/sysctls.h"
#include "agent/cri/time_offset.h"
#include "agent/cri/validate.h"
#include "netplugin/ip.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

constexpr char kSandboxSecurity[] = "config.linux.security_context";
constexpr char kNamespaces[] =
    "config.linux.security_context.namespace_options";
constexpr size_t kMaxDnsEntries = 64;  // resolv.conf(5) uses far fewer
constexpr size_t kMaxDnsText = 1024;
constexpr size_t kShortId = 12;  // default host name

// ---- Namespaces ----

absl::StatusOr<runtime::NamespaceMode> PodOrNode(absl::string_view field,
                                                 cri::NamespaceMode mode) {
  switch (mode) {
    case cri::POD:
      return runtime::NamespaceMode::kPod;
    case cri::NODE:
      return runtime::NamespaceMode::kHost;
    default:
      return Invalid(field, absl::StrCat("must be POD or NODE, is ",
                                         static_cast<int>(mode)));
  }
}

absl::StatusOr<runtime::NamespaceMode> PidMode(cri::NamespaceMode mode) {
  switch (mode) {
    case cri::POD:
      return runtime::NamespaceMode::kPod;
    case cri::CONTAINER:
      return runtime::NamespaceMode::kContainer;
    case cri::NODE:
      return runtime::NamespaceMode::kHost;
    default:
      return Invalid(absl::StrCat(kNamespaces, ".pid"),
                     absl::StrCat("must be POD, CONTAINER or NODE, is ",
                                  static_cast<int>(mode)));
  }
}

// Exactly one entry, at least one id long, that starts at id 0 inside (so
// that 0 is mapped), stays within 32 bits and takes none of the node's own ids
// (those below `min_host_id`): whoever is one of its users owns their files.
absl::StatusOr<std::vector<runtime::IdMapping>> OneMapping(
    absl::string_view field,
    const google::protobuf::RepeatedPtrField<cri::IDMapping>& mappings,
    uint32_t min_host_id) {
  if (mappings.size() != 1) {
    return Invalid(field, absl::StrCat("needs exactly one mapping, has ",
                                       mappings.size()));
  }
  const cri::IDMapping& in = mappings[0];
  if (in.length() == 0) return Invalid(field, "length must not be 0");
  if (in.container_id() != 0) {
    return Invalid(field, "container id 0 must be mapped");
  }
  if (uint64_t{in.host_id()} + in.length() > UINT32_MAX) {
    return Invalid(field, "host ids exceed 32 bits");
  }
  if (in.host_id() < min_host_id) {
    return Invalid(field, absl::StrCat("host id ", in.host_id(),
                                       " is one of the node's own, below ",
                                       min_host_id, " (userns_min_host_id)"));
  }
  return std::vector<runtime::IdMapping>{
      {in.container_id(), in.host_id(), in.length()}};
}

absl::Status ConvertUserNamespace(
    const cri::NamespaceOption& options,
    const std::optional<runtime::IdMapping>& granted, uint32_t min_host_id,
    runtime::SandboxSpec* spec) {
  if (!options.has_userns_options()) {
    if (granted.has_value()) {
      spec->uid_mappings = spec->gid_mappings = {*granted};
    }
    return absl::OkStatus();
  }
  const cri::UserNamespace& user = options.userns_options();
  const std::string field = absl::StrCat(kNamespaces, ".userns_options");
  switch (user.mode()) {
    case cri::POD: {
      ASSIGN_OR_RETURN(
          spec->uid_mappings,
          OneMapping(absl::StrCat(field, ".uids"), user.uids(), min_host_id));
      ASSIGN_OR_RETURN(
          spec->gid_mappings,
          OneMapping(absl::StrCat(field, ".gids"), user.gids(), min_host_id));
      return absl::OkStatus();
    }
    case cri::NODE:
      if (user.uids_size() + user.gids_size() != 0) {
        return Invalid(field, "mode NODE allows no mappings");
      }
      return absl::OkStatus();
    default:
      return Invalid(absl::StrCat(field, ".mode"),
                     absl::StrCat("must be POD or NODE, is ",
                                  static_cast<int>(user.mode())));
  }
}

absl::Status ConvertNamespaces(const cri::NamespaceOption& options,
                               const std::optional<runtime::IdMapping>& granted,
                               uint32_t min_host_id,
                               runtime::SandboxSpec* spec) {
  ASSIGN_OR_RETURN(
      spec->network,
      PodOrNode(absl::StrCat(kNamespaces, ".network"), options.network()));
  ASSIGN_OR_RETURN(spec->ipc,
                   PodOrNode(absl::StrCat(kNamespaces, ".ipc"), options.ipc()));
  ASSIGN_OR_RETURN(spec->pid, PidMode(options.pid()));
  if (!options.target_id().empty()) {
    return Invalid(absl::StrCat(kNamespaces, ".target_id"),
                   "is for containers only");
  }
  RETURN_IF_ERROR(ConvertUserNamespace(options, granted, min_host_id, spec));
  if (spec->pid == runtime::NamespaceMode::kHost &&
      !spec->uid_mappings.empty()) {
    return Invalid(absl::StrCat(kNamespaces, ".pid"),
                   "cannot be NODE in a pod with a user namespace of its own, "
                   "whose root cannot mount the node's procfs");
  }
  return absl::OkStatus();
}

// ---- The rest of the security context: nothing of it concerns containers,
// but what a caller believes to be in force must not be dropped in silence.

absl::Status ConvertSandboxSecurity(
    const cri::LinuxSandboxSecurityContext& security, const HostFacts& host,
    runtime::SandboxSpec* spec) {
  const auto in = [](absl::string_view name) {
    return absl::StrCat(kSandboxSecurity, ".", name);
  };
  if (security.has_run_as_user()) {
    RETURN_IF_ERROR(CheckId(in("run_as_user"), security.run_as_user().value()));
  }
  if (security.has_run_as_group()) {
    RETURN_IF_ERROR(
        CheckId(in("run_as_group"), security.run_as_group().value()));
    if (!security.has_run_as_user()) {
      return Invalid(in("run_as_group"), "needs run_as_user");
    }
  }
  RETURN_IF_ERROR(
      CheckGroups(in("supplemental_groups"), security.supplemental_groups()));
  if (!cri::SupplementalGroupsPolicy_IsValid(
          security.supplemental_groups_policy())) {
    return Invalid(in("supplemental_groups_policy"), "is unknown");
  }
  ASSIGN_OR_RETURN(
      spec->seccomp,
      ConvertSeccomp(in("seccomp"), security.has_seccomp(), security.seccomp(),
                     security.seccomp_profile_path()));
  if (security.privileged()) spec->seccomp = {};
  RETURN_IF_ERROR(AppArmorProfile(in("apparmor"),
                                  {security.has_apparmor(), security.apparmor(),
                                   "", security.privileged()},
                                  host.modules,
                                  host.policy.apparmor_default_profile)
                      .status());
  SecurityModules modules = host.modules;
  modules.decided_before |= security.privileged();
  return SelinuxLabel(in("selinux_options"), security.selinux_options(),
                      modules)
      .status();
}

// ---- Names ----

absl::Status CheckDnsItems(
    absl::string_view field,
    const google::protobuf::RepeatedPtrField<std::string>& items) {
  if (items.size() > static_cast<int>(kMaxDnsEntries)) {
    return Invalid(field,
                   absl::StrCat("has more than ", kMaxDnsEntries, " entries"));
  }
  for (const std::string& item : items) {
    RETURN_IF_ERROR(CheckText(field, item, kMaxDnsText));
    if (item.empty() || item.find_first_of(" \t") != std::string::npos) {
      return Invalid(field,
                     absl::StrCat(Shown(item), " is empty or holds a blank"));
    }
  }
  return absl::OkStatus();
}

// resolv.conf(5) with one search line, a line for each server, one options
// line, each only if there is something to say.
absl::StatusOr<std::string> ResolvConf(const cri::DNSConfig& dns) {
  const std::string field = "config.dns_config";
  RETURN_IF_ERROR(
      CheckDnsItems(absl::StrCat(field, ".searches"), dns.searches()));
  RETURN_IF_ERROR(
      CheckDnsItems(absl::StrCat(field, ".options"), dns.options()));
  if (dns.servers_size() > static_cast<int>(kMaxDnsEntries)) {
    return Invalid(absl::StrCat(field, ".servers"), "has too many entries");
  }
  std::string text;
  if (dns.searches_size() > 0) {
    absl::StrAppend(&text, "search ", absl::StrJoin(dns.searches(), " "), "\n");
  }
  for (const std::string& server : dns.servers()) {
    const auto address = netplugin::IpAddress::Parse(server);
    if (!address.ok()) {
      return Invalid(absl::StrCat(field, ".servers"),
                     absl::StrCat(Shown(server), " is not an IP address"));
    }
    absl::StrAppend(&text, "nameserver ", server, "\n");
  }
  if (dns.options_size() > 0) {
    absl::StrAppend(&text, "options ", absl::StrJoin(dns.options(), " "), "\n");
  }
  return text;
}

absl::Status ConvertNames(const cri::PodSandboxConfig& config,
                          const HostFacts& host, runtime::SandboxSpec* spec) {
  if (!config.hostname().empty()) {
    RETURN_IF_ERROR(CheckHostname("config.hostname", config.hostname()));
    spec->hostname = config.hostname();
  } else if (spec->network == runtime::NamespaceMode::kHost) {
    spec->hostname = host.hostname;
  } else {
    spec->hostname = spec->id.substr(0, kShortId);
  }
  spec->hosts = host.hosts;
  spec->resolv_conf = host.resolv_conf;
  if (config.has_dns_config()) {
    ASSIGN_OR_RETURN(spec->resolv_conf, ResolvConf(config.dns_config()));
  }
  return absl::OkStatus();
}

// ---- Clocks, ports ----

absl::Status ConvertTimeOffsets(const cri::PodSandboxConfig& config,
                                const HostFacts& host,
                                runtime::SandboxSpec* spec) {
  for (const auto& [key, target] :
       {std::pair<const char*, int64_t*>{kBoottimeOffsetAnnotation,
                                         &spec->time_offsets.boottime_ns},
        {kMonotonicOffsetAnnotation, &spec->time_offsets.monotonic_ns}}) {
    const auto found = config.annotations().find(key);
    if (found == config.annotations().end()) continue;
    ASSIGN_OR_RETURN(
        *target,
        ParseTimeOffset(absl::StrCat("config.annotations[\"", key, "\"]"),
                        found->second, host.monotonic_now_ns));
    spec->time_offsets_requested = true;
  }
  return absl::OkStatus();
}

absl::Status CheckPorts(const cri::PodSandboxConfig& config,
                        bool host_network) {
  for (int i = 0; i < config.port_mappings_size(); ++i) {
    const cri::PortMapping& port = config.port_mappings(i);
    const std::string field = absl::StrCat("config.port_mappings[", i, "]");
    if (!cri::Protocol_IsValid(port.protocol())) {
      return Invalid(absl::StrCat(field, ".protocol"), "is unknown");
    }
    if (port.container_port() < 0 || port.container_port() > 65535) {
      return Invalid(absl::StrCat(field, ".container_port"),
                     absl::StrCat(port.container_port(), " is no port"));
    }
    if (port.host_port() > 65535) {
      return Invalid(absl::StrCat(field, ".host_port"),
                     absl::StrCat(port.host_port(), " is no port"));
    }
    if (!port.host_ip().empty() &&
        !netplugin::IpAddress::Parse(port.host_ip()).ok()) {
      return Invalid(
          absl::StrCat(field, ".host_ip"),
          absl::StrCat(Shown(port.host_ip()), " is not an IP address"));
    }
    if (port.host_port() > 0 && !host_network) {
      return NotBuilt(absl::StrCat(field, ".host_port"), "host ports");
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool CanBeGrantedIds(const cri::PodSandboxConfig& config) {
  const cri::LinuxSandboxSecurityContext& security =
      config.linux().security_context();
  const cri::NamespaceOption& options = security.namespace_options();
  return !options.has_userns_options() && !security.privileged() &&
         options.network() != cri::NODE && options.ipc() != cri::NODE &&
         options.pid() != cri::NODE;
}

void AddOwnName(const std::vector<netplugin::IpPrefix>& addresses,
                runtime::SandboxSpec* spec) {
  std::string& hosts = spec->hosts;
  if (!hosts.empty() && hosts.back() != '\n') hosts += '\n';
  for (const netplugin::IpPrefix& prefix : addresses) {
    absl::StrAppend(&hosts, prefix.address.ToString(), "\t", spec->hostname,
                    "\n");
  }
}

absl::StatusOr<runtime::SandboxSpec> ConvertSandbox(
    const std::string& id, const cri::PodSandboxConfig& config,
    const HostFacts& host, const std::optional<runtime::IdMapping>& granted) {
  RETURN_IF_ERROR(CheckSandboxMetadata("config.metadata", config.metadata()));
  runtime::SandboxSpec spec;
  spec.id = id;
  const cri::LinuxSandboxSecurityContext& security =
      config.linux().security_context();
  RETURN_IF_ERROR(ConvertNamespaces(security.namespace_options(), granted,
                                    host.policy.userns_min_host_id, &spec));
  RETURN_IF_ERROR(ConvertSandboxSecurity(security, host, &spec));
  RETURN_IF_ERROR(ConvertNames(config, host, &spec));
  RETURN_IF_ERROR(
      ConvertSysctls(config.linux(), host.modules.decided_before, &spec));
  RETURN_IF_ERROR(ConvertTimeOffsets(config, host, &spec));
  RETURN_IF_ERROR(
      CheckPorts(config, spec.network == runtime::NamespaceMode::kHost));
  ASSIGN_OR_RETURN(spec.cgroup_parent,
                   CheckCgroupParent("config.linux.cgroup_parent",
                                     config.linux().cgroup_parent()));
  if (!config.log_directory().empty()) {
    RETURN_IF_ERROR(
        CheckAbsolutePath("config.log_directory", config.log_directory())
            .status());
  }
  return spec;
}

}  // namespace warren::agent
