#include "agent/caller/access.h"

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <map>
#include <optional>

namespace warren::agent {
namespace {

constexpr RpcRight kTable[] = {
    {"grpc.health.v1.Health/Check", Right::kRead, CallClass::kRead},
    {"grpc.health.v1.Health/Watch", Right::kRead, CallClass::kStream},
    {"grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
     Right::kRead, CallClass::kStream},

    {"runtime.v1.RuntimeService/Version", Right::kRead, CallClass::kRead},
    {"runtime.v1.RuntimeService/Status", Right::kRead, CallClass::kRead},
    {"runtime.v1.RuntimeService/RuntimeConfig", Right::kRead, CallClass::kRead},
    {"runtime.v1.RuntimeService/PodSandboxStatus", Right::kRead,
     CallClass::kRead},
    {"runtime.v1.RuntimeService/ListPodSandbox", Right::kRead,
     CallClass::kRead},
    {"runtime.v1.RuntimeService/StreamPodSandboxes", Right::kRead,
     CallClass::kStream},
    {"runtime.v1.RuntimeService/ContainerStatus", Right::kRead,
     CallClass::kRead},
    {"runtime.v1.RuntimeService/ListContainers", Right::kRead,
     CallClass::kRead},
    {"runtime.v1.RuntimeService/StreamContainers", Right::kRead,
     CallClass::kStream},
    {"runtime.v1.RuntimeService/ContainerStats", Right::kRead,
     CallClass::kRead},
    {"runtime.v1.RuntimeService/ListContainerStats", Right::kRead,
     CallClass::kRead},
    {"runtime.v1.RuntimeService/StreamContainerStats", Right::kRead,
     CallClass::kStream},
    {"runtime.v1.RuntimeService/PodSandboxStats", Right::kRead,
     CallClass::kRead},
    {"runtime.v1.RuntimeService/ListPodSandboxStats", Right::kRead,
     CallClass::kRead},
    {"runtime.v1.RuntimeService/StreamPodSandboxStats", Right::kRead,
     CallClass::kStream},
    {"runtime.v1.RuntimeService/ListMetricDescriptors", Right::kRead,
     CallClass::kRead},
    {"runtime.v1.RuntimeService/ListPodSandboxMetrics", Right::kRead,
     CallClass::kRead},
    {"runtime.v1.RuntimeService/StreamPodSandboxMetrics", Right::kRead,
     CallClass::kStream},
    {"runtime.v1.RuntimeService/GetContainerEvents", Right::kRead,
     CallClass::kStream},

    {"runtime.v1.RuntimeService/ExecSync", Right::kExec, CallClass::kExec},
    {"runtime.v1.RuntimeService/Exec", Right::kExec, CallClass::kExec},
    {"runtime.v1.RuntimeService/Attach", Right::kExec, CallClass::kExec},
    {"runtime.v1.RuntimeService/PortForward", Right::kExec, CallClass::kExec},

    {"runtime.v1.RuntimeService/RunPodSandbox", Right::kOperate,
     CallClass::kChange},
    {"runtime.v1.RuntimeService/StopPodSandbox", Right::kOperate,
     CallClass::kEnd},
    {"runtime.v1.RuntimeService/RemovePodSandbox", Right::kOperate,
     CallClass::kEnd},
    {"runtime.v1.RuntimeService/UpdatePodSandboxResources", Right::kOperate,
     CallClass::kChange},
    {"runtime.v1.RuntimeService/CreateContainer", Right::kOperate,
     CallClass::kChange},
    {"runtime.v1.RuntimeService/StartContainer", Right::kOperate,
     CallClass::kChange},
    {"runtime.v1.RuntimeService/StopContainer", Right::kOperate,
     CallClass::kEnd},
    {"runtime.v1.RuntimeService/RemoveContainer", Right::kOperate,
     CallClass::kEnd},
    {"runtime.v1.RuntimeService/UpdateContainerResources", Right::kOperate,
     CallClass::kChange},
    {"runtime.v1.RuntimeService/ReopenContainerLog", Right::kOperate,
     CallClass::kChange},
    // Writes the memory of a container, secrets included, to a file.
    {"runtime.v1.RuntimeService/CheckpointContainer", Right::kOperate,
     CallClass::kChange},

    {"runtime.v1.RuntimeService/UpdateRuntimeConfig", Right::kAdmin,
     CallClass::kChange},

    {"runtime.v1.ImageService/ListImages", Right::kRead, CallClass::kRead},
    {"runtime.v1.ImageService/StreamImages", Right::kRead, CallClass::kStream},
    {"runtime.v1.ImageService/ImageStatus", Right::kRead, CallClass::kRead},
    {"runtime.v1.ImageService/ImageFsInfo", Right::kRead, CallClass::kRead},
    {"runtime.v1.ImageService/PullImage", Right::kOperate, CallClass::kChange},
    {"runtime.v1.ImageService/RemoveImage", Right::kOperate,
     CallClass::kChange},

    {"warren.node.v1.NodeService/InspectPodSandbox", Right::kRead,
     CallClass::kRead},
    {"warren.node.v1.NodeService/ImportImage", Right::kOperate,
     CallClass::kStream},
    {"warren.node.v1.NodeService/PullImage", Right::kOperate,
     CallClass::kStream},
    {"warren.node.v1.NodeService/Reconcile", Right::kOperate,
     CallClass::kChange},
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

absl::string_view CallClassName(CallClass call_class) {
  switch (call_class) {
    case CallClass::kRead:
      return "read";
    case CallClass::kStream:
      return "stream";
    case CallClass::kChange:
      return "change";
    case CallClass::kEnd:
      return "end";
    case CallClass::kExec:
      return "exec";
  }
  return "?";
}

absl::Span<const RpcRight> AccessTable() { return kTable; }

std::optional<CallClass> ClassOf(absl::string_view rpc) {
  const RpcRight* row = Find(rpc);
  if (row == nullptr) return std::nullopt;
  return row->call_class;
}

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
