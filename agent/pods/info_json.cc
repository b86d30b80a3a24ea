#include "agent/pods/info_json.h"

#include <google/protobuf/util/json_util.h>

#include <nlohmann/json.hpp>

#include "agent/cri/capability_names.h"
#include "agent/store/record_convert.h"

namespace warren::agent {
namespace {

using Json = nlohmann::ordered_json;

// A message with the field names of its .proto, as other runtimes show it.
Json ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options)
           .ok()) {
    return nullptr;
  }
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

Json ToJson(const Timings& timings) {
  Json out = Json::object();
  for (const Timings::Phase& phase : timings.Get()) {
    out[phase.name + "_us"] = phase.nanoseconds / 1000;
  }
  return out;
}

// Bytes that are not UTF-8 are replaced, nothing is thrown.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json Namespaces(const runtime::ContainerSpec& spec) {
  const runtime::SandboxSpec& pod = spec.sandbox;
  const bool host_network = pod.network == runtime::NamespaceMode::kHost;
  const bool own_users = !pod.uid_mappings.empty();
  return {{"user", own_users ? "pod" : "host"},
          {"mnt", "container"},
          {"pid", NamespaceModeName(spec.pid)},
          {"net", NamespaceModeName(pod.network)},
          {"ipc", NamespaceModeName(pod.ipc)},
          {"uts", host_network ? "host" : "pod"},
          {"cgroup", spec.privileged && !own_users ? "host" : "container"},
          {"time", "pod"}};
}

Json Mounts(const runtime::ContainerSpec& spec) {
  Json out = Json::array();
  for (const runtime::MountSpec& mount : spec.mounts) {
    out.push_back({{"destination", mount.container_path},
                   {"source", mount.host_path},
                   {"readonly", mount.readonly}});
  }
  return out;
}

Json Seccomp(const runtime::SeccompChoice& choice) {
  switch (choice.mode) {
    case runtime::SeccompMode::kUnconfined:
      return {{"profileType", "Unconfined"}};
    case runtime::SeccompMode::kRuntimeDefault:
      return {{"profileType", "RuntimeDefault"}};
    case runtime::SeccompMode::kLocalhost:
      return {{"profileType", "Localhost"},
              {"localhostRef", choice.localhost_path}};
  }
  return nullptr;
}

// The resolved container in the words of the OCI runtime specification where
// it has them.
Json RuntimeSpec(const ContainerState& state) {
  const runtime::ContainerSpec& spec = *state.spec;
  const record::User& user = state.record.user();
  return {{"hostname", spec.sandbox.hostname},
          {"root", {{"readonly", spec.readonly_rootfs}}},
          {"process",
           {{"terminal", spec.tty},
            {"user",
             {{"uid", user.uid()},
              {"gid", user.gid()},
              {"additionalGids", std::vector<uint32_t>(user.groups().begin(),
                                                       user.groups().end())}}},
            {"args", spec.args},
            {"env", spec.env},
            {"cwd", spec.cwd},
            {"capabilities",
             {{"bounding", CapabilityNames(spec.capabilities)},
              {"ambient", CapabilityNames(spec.ambient_capabilities)}}},
            {"apparmorProfile", spec.apparmor_profile},
            {"selinuxLabel", spec.selinux_label},
            {"noNewPrivileges", spec.no_new_privs},
            {"oomScoreAdj", spec.oom_score_adj}}},
          {"mounts", Mounts(spec)},
          {"linux",
           {{"namespaces", Namespaces(spec)},
            {"seccomp", Seccomp(spec.seccomp)},
            {"maskedPaths", spec.masked_paths},
            {"readonlyPaths", spec.readonly_paths}}}};
}

}  // namespace

std::string SandboxInfo(const PodSandboxState& state, const Timings& timings) {
  Json namespaces = Json::object();
  for (const record::NamespaceFact& fact : state.record.namespaces()) {
    namespaces[fact.kind()] = {{"inode", fact.inode()},
                               {"host", fact.is_host()}};
  }
  Json addresses = Json::array();
  if (state.network.has_value()) {
    for (const netplugin::IpPrefix& address : state.network->addresses) {
      addresses.push_back(address.ToString());
    }
  }
  return Dump({{"pid", state.record.pod_init().pid()},
               {"endedBecause", state.record.ended_because()},
               {"runtimeHandler", state.record.runtime_handler()},
               {"hostname", state.spec->hostname},
               {"firstHostId", state.spec->uid_mappings.empty()
                                   ? 0
                                   : state.spec->uid_mappings[0].host_id},
               {"namespaces", namespaces},
               {"addresses", addresses},
               {"hostInterface", state.record.host_ifname()},
               {"config", ToJson(state.record.config())},
               {"overhead", ToJson(state.record.overhead())},
               {"resources", ToJson(state.record.resources())},
               {"timings", ToJson(timings)}});
}

std::string ContainerInfo(const ContainerState& state, const Timings& timings) {
  return Dump({{"sandboxID", state.record.sandbox_id()},
               {"pid", state.record.process().pid()},
               {"shimPid", state.record.shim().pid()},
               {"removing", state.record.phase() == record::REMOVING},
               {"config", ToJson(state.record.config())},
               {"runtimeSpec", RuntimeSpec(state)},
               {"timings", ToJson(timings)}});
}

}  // namespace warren::agent
