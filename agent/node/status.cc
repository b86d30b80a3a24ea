#include "agent/node/status.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include "agent/convert/convert.h"
#include "agent/cri/text.h"
#include "netplugin/ipam/pod_ranges.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;

void Set(Struct* object, const std::string& key, const std::string& value) {
  (*object->mutable_fields())[key].set_string_value(CleanUtf8(value));
}
void Set(Struct* object, const std::string& key, bool value) {
  (*object->mutable_fields())[key].set_bool_value(value);
}
void Set(Struct* object, const std::string& key, int value) {
  (*object->mutable_fields())[key].set_number_value(value);
}
void Set(Struct* object, const std::string& key,
         const std::vector<std::string>& values) {
  ListValue* list = (*object->mutable_fields())[key].mutable_list_value();
  for (const std::string& value : values) {
    list->add_values()->set_string_value(CleanUtf8(value));
  }
}

std::string Json(const Struct& object) {
  std::string text;
  // Cannot fail for a Struct of plain values.
  (void)google::protobuf::util::MessageToJsonString(object, &text);
  return text;
}

std::string ConfigJson(const Options& options) {
  Struct config;
  Set(&config, "stateDir", options.state_dir);
  Set(&config, "runDir", options.run_dir);
  Set(&config, "socket", options.socket);
  Set(&config, "cgroupParent", options.cgroup_parent);
  Set(&config, "logLevel", options.log_level);
  Set(&config, "maxConnections", options.max_connections);
  Set(&config, "pidsLimit", options.pids_limit);
  Set(&config, "logCpuPercent", options.log_cpu_percent);
  std::vector<std::string> ranges;
  for (const netplugin::IpPrefix& range : options.pod_ranges) {
    ranges.push_back(range.ToString());
  }
  Set(&config, "podRanges", ranges);
  Set(&config, "bridge", options.bridge);
  Set(&config, "mtu", options.mtu);
  Set(&config, "nftTable", options.table);
  Set(&config, "forwardOthers", options.forward_others);
  Set(&config, "userns", std::string(options.userns_auto ? "auto" : "host"));
  Set(&config, "usernsPool",
      absl::StrCat(options.userns_pool.start, ":", options.userns_pool.length));
  Set(&config, "ambientCapabilities", options.ambient_capabilities);
  Set(&config, "apparmorDefaultProfile", options.apparmor_default_profile);
  return Json(config);
}

std::string FeaturesJson(const runtime::Features& features) {
  Struct object;
  Set(&object, "cgroupVersion", features.cgroup_v2 ? 2 : 1);
  Set(&object, "userNamespaces", features.user_namespaces);
  Set(&object, "timeNamespaces", features.time_namespaces);
  Set(&object, "recursiveReadOnlyMounts", features.recursive_read_only);
  Set(&object, "degraded", features.degraded);
  return Json(object);
}

void AddCondition(cri::RuntimeStatus* status, const char* type, bool good,
                  const std::string& reason, const std::string& message) {
  cri::RuntimeCondition* condition = status->add_conditions();
  condition->set_type(type);
  condition->set_status(good);
  condition->set_reason(good ? "" : reason);
  condition->set_message(good ? "" : CleanUtf8(message));
}

void AddHandler(const char* name, const runtime::Features& features,
                cri::StatusResponse* response) {
  cri::RuntimeHandler* handler = response->add_runtime_handlers();
  handler->set_name(name);
  handler->mutable_features()->set_recursive_read_only_mounts(
      features.recursive_read_only);
  handler->mutable_features()->set_user_namespaces(features.user_namespaces);
}

}  // namespace

cri::VersionResponse BuildVersion() {
  cri::VersionResponse version;
  version.set_version("0.1.0");  // of the kubelet runtime API, not ours
  version.set_runtime_name("warren");
  version.set_runtime_version(WARREN_VERSION);
  version.set_runtime_api_version("v1");
  return version;
}

cri::StatusResponse BuildStatus(const Options& options, const NodeFacts& facts,
                                bool verbose) {
  cri::StatusResponse response;
  cri::RuntimeStatus* status = response.mutable_status();
  // Calls are served only after the reconcile: the runtime is ready by then.
  AddCondition(status, "RuntimeReady", true, "", "");
  AddCondition(status, "NetworkReady", facts.network.ready,
               facts.network.reason, facts.network.message);
  std::vector<std::string> records = facts.unreadable;
  if (!facts.quarantined.empty()) {
    records.push_back(absl::StrCat("put aside as unreadable: ",
                                   absl::StrJoin(facts.quarantined, ", ")));
  }
  AddCondition(
      status, "RecordsReadable", records.empty(),
      facts.unreadable.empty() ? "RecordsQuarantined" : "FilesUnreadable",
      absl::StrJoin(records, "; "));
  AddCondition(status, "ObjectsKnown", facts.unknown.empty(), "ObjectsUnknown",
               absl::StrCat("left as they are, looked at again: ",
                            absl::StrJoin(facts.unknown, "; ")));
  AddCondition(
      status, "NothingLeftOver", facts.unsettled.empty(), "ReconcileFails",
      absl::StrCat(facts.unsettled.size(), " steps fail and are tried again: ",
                   absl::StrJoin(facts.unsettled, "; ")));
  AddCondition(status, "OthersForwarded", facts.refused.empty(),
               "NotForwardedBefore", facts.refused);
  AddHandler(kRuntimeHandler, facts.features, &response);
  AddHandler("", facts.features, &response);
  response.mutable_features()->set_supplemental_groups_policy(true);
  if (verbose) {
    (*response.mutable_info())["config"] = ConfigJson(options);
    (*response.mutable_info())["features"] = FeaturesJson(facts.features);
  }
  return response;
}

cri::RuntimeConfigResponse BuildRuntimeConfig() {
  cri::RuntimeConfigResponse config;
  config.mutable_linux()->set_cgroup_driver(cri::CGROUPFS);
  return config;
}

absl::StatusOr<std::vector<netplugin::IpPrefix>> ParsePodCidr(
    const std::string& pod_cidr) {
  std::vector<netplugin::IpPrefix> ranges;
  const std::vector<absl::string_view> parts = absl::StrSplit(pod_cidr, ',');
  for (const absl::string_view part : parts) {
    const absl::StatusOr<netplugin::IpPrefix> range =
        netplugin::IpPrefix::Parse(absl::StripAsciiWhitespace(part));
    if (!range.ok()) {
      return absl::InvalidArgumentError(
          "pod_cidr: must be one prefix, or one for each address family with a "
          "comma between");
    }
    ranges.push_back(range->Masked());
  }
  RETURN_IF_ERROR_IN(netplugin::ValidateRanges(ranges), "pod_cidr");
  return ranges;
}

}  // namespace warren::agent
