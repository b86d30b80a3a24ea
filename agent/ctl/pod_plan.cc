#include "agent/ctl/pod_plan.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <limits>
#include <set>
#include <utility>

#include "runtime/base/status.h"

namespace warren::agent::ctl {
namespace {

// What a kubelet sends for every ordinary container: files of procfs and
// sysfs that tell about, or change, the whole node.
constexpr const char* kMaskedPaths[] = {
    "/proc/asound",     "/proc/acpi",        "/proc/interrupts",
    "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap",
};
constexpr const char* kReadonlyPaths[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

template <class... Parts>
absl::Status Invalid(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

// The namespaces of the pod, which its containers repeat.
void SetNamespaces(const PodPlan& plan, cri::NamespaceOption* options) {
  options->set_network(plan.network);
  options->set_pid(plan.pid);
  options->set_ipc(plan.ipc);
  if (!plan.userns.has_value()) return;
  cri::UserNamespace* userns = options->mutable_userns_options();
  userns->set_mode(cri::POD);
  for (cri::IDMapping* mapping : {userns->add_uids(), userns->add_gids()}) {
    mapping->set_container_id(0);
    mapping->set_host_id(plan.userns->base);
    mapping->set_length(plan.userns->length);
  }
}

void SetSeccomp(const SeccompPlan& plan, cri::SecurityProfile* profile) {
  switch (plan.kind) {
    case SeccompPlan::Kind::kDefault:
      profile->set_profile_type(cri::SecurityProfile::RuntimeDefault);
      return;
    case SeccompPlan::Kind::kUnconfined:
      profile->set_profile_type(cri::SecurityProfile::Unconfined);
      return;
    case SeccompPlan::Kind::kProfile:
      profile->set_profile_type(cri::SecurityProfile::Localhost);
      profile->set_localhost_ref(plan.profile);
      return;
  }
}

absl::Status SetUser(const std::string& text,
                     cri::LinuxContainerSecurityContext* security) {
  if (text.empty()) return absl::OkStatus();
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  int64_t number = 0;
  if (absl::SimpleAtoi(parts.first, &number)) {
    security->mutable_run_as_user()->set_value(number);
  } else {
    security->set_run_as_username(parts.first);
  }
  if (parts.second.empty()) return absl::OkStatus();
  if (!absl::SimpleAtoi(parts.second, &number)) {
    return Invalid("user \"", text, "\": the group must be a number");
  }
  security->mutable_run_as_group()->set_value(number);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UsernsPlan> ParseUserns(absl::string_view text) {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  UsernsPlan plan;
  if (!absl::SimpleAtoi(parts.first, &plan.base) || plan.base == 0) {
    return Invalid("userns \"", text, "\": want the first host id, e.g. 65536");
  }
  if (!parts.second.empty() &&
      (!absl::SimpleAtoi(parts.second, &plan.length) || plan.length == 0)) {
    return Invalid("userns \"", text, "\": want base:length");
  }
  // The last id, -1, is reserved by the kernel (user_namespaces(7)).
  if (uint64_t{plan.base} + plan.length >
      std::numeric_limits<uint32_t>::max()) {
    return Invalid("userns \"", text, "\": ids past 4294967294");
  }
  return plan;
}

absl::Status AddTimeOffsets(absl::string_view text, PodPlan* plan) {
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<std::string, std::string> pair =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    if ((pair.first != "boottime" && pair.first != "monotonic") ||
        pair.second.empty()) {
      return Invalid("time offset \"", part,
                     "\": want boottime=SECONDS or monotonic=SECONDS");
    }
    plan->annotations[absl::StrCat("warren.dev/time-offset.", pair.first)] =
        pair.second;
  }
  return absl::OkStatus();
}

absl::StatusOr<cri::NamespaceMode> ParseMode(absl::string_view text) {
  if (text == "pod") return cri::POD;
  if (text == "container") return cri::CONTAINER;
  if (text == "host") return cri::NODE;
  return Invalid("\"", text, "\": want pod, container or host");
}

absl::StatusOr<MountPlan> ParseMount(absl::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  if (parts.size() < 2 || parts.size() > 3 || parts[0].empty() ||
      parts[1].empty() || (parts.size() == 3 && parts[2] != "ro")) {
    return Invalid("mount \"", text, "\": want HOST:CONTAINER[:ro]");
  }
  return MountPlan{parts[0], parts[1], parts.size() == 3};
}

absl::StatusOr<SeccompPlan> ParseSeccomp(absl::string_view text) {
  if (text == "default") return SeccompPlan{};
  if (text == "unconfined") {
    return SeccompPlan{SeccompPlan::Kind::kUnconfined, ""};
  }
  if (!absl::StartsWith(text, "/")) {
    return Invalid("seccomp \"", text,
                   "\": want default, unconfined or the path of a profile");
  }
  return SeccompPlan{SeccompPlan::Kind::kProfile, std::string(text)};
}

absl::StatusOr<int64_t> ParseBytes(absl::string_view text) {
  static const auto* const kUnits = new std::map<std::string, int64_t>{
      {"", 1},           {"k", 1000},       {"M", 1000 * 1000},
      {"G", 1000000000}, {"Ki", 1LL << 10}, {"Mi", 1LL << 20},
      {"Gi", 1LL << 30}, {"Ti", 1LL << 40}};
  const size_t digits = text.find_first_not_of("0123456789");
  const std::string unit(
      digits == absl::string_view::npos ? "" : text.substr(digits));
  int64_t value = 0;
  const auto factor = kUnits->find(unit);
  if (factor == kUnits->end() ||
      !absl::SimpleAtoi(text.substr(0, digits), &value) ||
      value > std::numeric_limits<int64_t>::max() / factor->second) {
    return Invalid("size \"", text, "\": want a number with k, M, G, Ki, Mi…");
  }
  return value * factor->second;
}

absl::Status CheckPlan(const PodPlan& plan) {
  if (plan.name.empty()) return Invalid("the pod needs a name");
  if (plan.containers.empty()) return Invalid("the pod needs a container");
  std::set<std::string> names;
  for (const ContainerPlan& container : plan.containers) {
    if (container.name.empty()) return Invalid("a container needs a name");
    if (container.image.empty()) {
      return Invalid("container ", container.name, " needs an image");
    }
    if (container.pids_limit < 0) {
      return Invalid("container ", container.name,
                     ": pids_limit must not be below 0");
    }
    if (!names.insert(container.name).second) {
      return Invalid("container ", container.name, " is there twice");
    }
  }
  return absl::OkStatus();
}

cri::PodSandboxConfig ToPodConfig(const PodPlan& plan, const std::string& uid,
                                  const std::string& log_root) {
  cri::PodSandboxConfig config;
  config.mutable_metadata()->set_name(plan.name);
  config.mutable_metadata()->set_namespace_(plan.namespace_name);
  config.mutable_metadata()->set_uid(uid);
  config.set_hostname(plan.hostname.empty() ? plan.name : plan.hostname);
  config.set_log_directory(absl::StrCat(log_root, "/", plan.namespace_name, "_",
                                        plan.name, "_", uid));
  auto& labels = *config.mutable_labels();
  labels.insert(plan.labels.begin(), plan.labels.end());
  labels[kMadeByLabel] = "warrenctl";
  config.mutable_annotations()->insert(plan.annotations.begin(),
                                       plan.annotations.end());
  config.mutable_linux()->set_cgroup_parent(plan.cgroup_parent);
  auto* security = config.mutable_linux()->mutable_security_context();
  SetNamespaces(plan, security->mutable_namespace_options());
  for (const ContainerPlan& container : plan.containers) {
    if (container.privileged) security->set_privileged(true);
  }
  return config;
}

absl::StatusOr<cri::ContainerConfig> ToContainerConfig(
    const PodPlan& pod, const ContainerPlan& plan) {
  cri::ContainerConfig config;
  config.mutable_metadata()->set_name(plan.name);
  config.mutable_image()->set_image(plan.image);
  config.mutable_image()->set_user_specified_image(plan.image);
  for (const std::string& word : plan.command) config.add_command(word);
  for (const std::string& word : plan.args) config.add_args(word);
  for (const auto& [key, value] : plan.env) {
    cri::KeyValue* pair = config.add_envs();
    pair->set_key(key);
    pair->set_value(value);
  }
  for (const MountPlan& mount : plan.mounts) {
    cri::Mount* added = config.add_mounts();
    added->set_host_path(mount.host_path);
    added->set_container_path(mount.container_path);
    added->set_readonly(mount.readonly);
  }
  config.set_working_dir(plan.working_dir);
  (*config.mutable_labels())[kMadeByLabel] = "warrenctl";
  config.set_log_path(absl::StrCat(plan.name, "/0.log"));
  cri::LinuxContainerResources* resources =
      config.mutable_linux()->mutable_resources();
  resources->set_memory_limit_in_bytes(plan.memory_bytes);
  if (plan.pids_limit != 0) {
    (*resources->mutable_unified())["pids.max"] = absl::StrCat(plan.pids_limit);
  }
  auto* security = config.mutable_linux()->mutable_security_context();
  SetNamespaces(pod, security->mutable_namespace_options());
  security->set_privileged(plan.privileged);
  security->set_readonly_rootfs(plan.readonly_rootfs);
  RETURN_IF_ERROR(SetUser(plan.user, security));
  if (!plan.privileged) {
    SetSeccomp(plan.seccomp, security->mutable_seccomp());
    security->set_no_new_privs(!plan.allow_new_privileges);
    for (const char* path : kMaskedPaths) security->add_masked_paths(path);
    for (const char* path : kReadonlyPaths) security->add_readonly_paths(path);
  }
  return config;
}

}  // namespace warren::agent::ctl
