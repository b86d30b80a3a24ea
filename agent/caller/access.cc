#include "agent/caller/access.h"

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <map>

namespace warren::agent {
namespace {

constexpr RpcRight kTable[] = {
    {"grpc.health.v1.Health/Check", Right::kRead},
    {"grpc.health.v1.Health/Watch", Right::kRead},
    {"grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
     Right::kRead},

    {"runtime.v1.RuntimeService/Version", Right::kRead},
    {"runtime.v1.RuntimeService/Status", Right::kRead},
    {"runtime.v1.RuntimeService/RuntimeConfig", Right::kRead},
    {"runtime.v1.RuntimeService/PodSandboxStatus", Right::kRead},
    {"runtime.v1.RuntimeService/ListPodSandbox", Right::kRead},
    {"runtime.v1.RuntimeService/StreamPodSandboxes", Right::kRead},
    {"runtime.v1.RuntimeService/ContainerStatus", Right::kRead},
    {"runtime.v1.RuntimeService/ListContainers", Right::kRead},
    {"runtime.v1.RuntimeService/StreamContainers", Right::kRead},
    {"runtime.v1.RuntimeService/ContainerStats", Right::kRead},
    {"runtime.v1.RuntimeService/ListContainerStats", Right::kRead},
    {"runtime.v1.RuntimeService/StreamContainerStats", Right::kRead},
    {"runtime.v1.RuntimeService/PodSandboxStats", Right::kRead},
    {"runtime.v1.RuntimeService/ListPodSandboxStats", Right::kRead},
    {"runtime.v1.RuntimeService/StreamPodSandboxStats", Right::kRead},
    {"runtime.v1.RuntimeService/ListMetricDescriptors", Right::kRead},
    {"runtime.v1.RuntimeService/ListPodSandboxMetrics", Right::kRead},
    {"runtime.v1.RuntimeService/StreamPodSandboxMetrics", Right::kRead},
    {"runtime.v1.RuntimeService/GetContainerEvents", Right::kRead},

    {"runtime.v1.RuntimeService/ExecSync", Right::kExec},
    {"runtime.v1.RuntimeService/Exec", Right::kExec},
    {"runtime.v1.RuntimeService/Attach", Right::kExec},
    {"runtime.v1.RuntimeService/PortForward", Right::kExec},

    {"runtime.v1.RuntimeService/RunPodSandbox", Right::kOperate},
    {"runtime.v1.RuntimeService/StopPodSandbox", Right::kOperate},
    {"runtime.v1.RuntimeService/RemovePodSandbox", Right::kOperate},
    {"runtime.v1.RuntimeService/UpdatePodSandboxResources", Right::kOperate},
    {"runtime.v1.RuntimeService/CreateContainer", Right::kOperate},
    {"runtime.v1.RuntimeService/StartContainer", Right::kOperate},
    {"runtime.v1.RuntimeService/StopContainer", Right::kOperate},
    {"runtime.v1.RuntimeService/RemoveContainer", Right::kOperate},
    {"runtime.v1.RuntimeService/UpdateContainerResources", Right::kOperate},
    {"runtime.v1.RuntimeService/ReopenContainerLog", Right::kOperate},
    // Writes the memory of a container, secrets included, to a file.
    {"runtime.v1.RuntimeService/CheckpointContainer", Right::kOperate},

    {"runtime.v1.RuntimeService/UpdateRuntimeConfig", Right::kAdmin},

    {"runtime.v1.ImageService/ListImages", Right::kRead},
    {"runtime.v1.ImageService/StreamImages", Right::kRead},
    {"runtime.v1.ImageService/ImageStatus", Right::kRead},
    {"runtime.v1.ImageService/ImageFsInfo", Right::kRead},
    {"runtime.v1.ImageService/PullImage", Right::kOperate},
    {"runtime.v1.ImageService/RemoveImage", Right::kOperate},

    {"warren.node.v1.NodeService/InspectPodSandbox", Right::kRead},
    {"warren.node.v1.NodeService/ImportImage", Right::kOperate},
};

const RpcRight* Find(absl::string_view rpc) {
  static const auto& rows = *[] {
    auto* map = new std::map<absl::string_view, const RpcRight*>;
    for (const RpcRight& row : kTable) map->emplace(row.rpc, &row);
    return map;
  }();
  const auto found = rows.find(rpc);
  return found == rows.end() ? nullptr : found->second;
}

// There are no roles: who holds one right holds all of them.
bool Holds(const Caller& caller, Right /*right*/) {
  if (caller.kind != Caller::Kind::kUnixUser) return false;
  if (caller.in_group) return true;
  return caller.uid.has_value() &&
         (*caller.uid == 0 || *caller.uid == geteuid());
}

}  // namespace

absl::string_view RightName(Right right) {
  switch (right) {
    case Right::kRead:
      return "read";
    case Right::kExec:
      return "exec";
    case Right::kOperate:
      return "operate";
    case Right::kAdmin:
      return "admin";
  }
  return "?";
}

absl::Span<const RpcRight> AccessTable() { return kTable; }

absl::Status MayCall(const Caller& caller, absl::string_view rpc) {
  const RpcRight* row = Find(rpc);
  if (row == nullptr) {
    return absl::PermissionDeniedError(
        absl::StrCat("nobody may call ", rpc, ": it has no row in the table"));
  }
  if (Holds(caller, row->right)) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(
      caller.Name(), " has no right to ", RightName(row->right), ": ", rpc));
}

}  // namespace warren::agent
