#include "agent/api/runtime_service.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <utility>

#include "agent/api/rpc.h"
#include "agent/node/status.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerContext;
using grpc::ServerWriter;

constexpr absl::string_view kService = cri::RuntimeService::service_full_name();

// A call that changes nothing.
template <class Body>
grpc::Status Read(ServerContext* context, absl::string_view name,
                  const std::string& object, google::protobuf::Message* reply,
                  Body body) {
  RpcCall call{.service = kService, .name = name, .object = object};
  return RunRpc(context, &call, reply, body);
}

// A call that does, on an object that exists. It runs on the pool.
RpcCall Change(absl::string_view name, const std::string& object,
               const google::protobuf::Message* request) {
  return {.service = kService,
          .name = name,
          .mutating = true,
          .object = object,
          .request = request};
}

// Puts the value of `result` into the reply, or returns its error.
template <class Reply>
absl::Status Put(absl::StatusOr<Reply> result, Reply* reply) {
  RETURN_IF_ERROR(result.status());
  *reply = *std::move(result);
  return absl::OkStatus();
}

grpc::Status NotBuilt(ServerContext* context, absl::string_view name,
                      absl::string_view what) {
  return Read(context, name, "", nullptr, [&](const CallContext&) {
    return absl::UnimplementedError(
        absl::StrCat(name, ": this version of warren ", what));
  });
}

constexpr char kNoStreams[] =
    "has no streaming sessions; use ExecSync for commands";
constexpr char kNoStats[] = "keeps no statistics";
constexpr char kNoMetrics[] = "has no metrics";

}  // namespace

// ---- The node -------------------------------------------------------------

grpc::Status RuntimeService::Version(ServerContext* context,
                                     const cri::VersionRequest*,
                                     cri::VersionResponse* reply) {
  return Read(context, "Version", "", nullptr, [&](const CallContext&) {
    *reply = BuildVersion();
    return absl::OkStatus();
  });
}

grpc::Status RuntimeService::Status(ServerContext* context,
                                    const cri::StatusRequest* request,
                                    cri::StatusResponse* reply) {
  return Read(context, "Status", "", reply, [&](const CallContext&) {
    *reply = node_->Status(request->verbose());
    return absl::OkStatus();
  });
}

grpc::Status RuntimeService::RuntimeConfig(ServerContext* context,
                                           const cri::RuntimeConfigRequest*,
                                           cri::RuntimeConfigResponse* reply) {
  return Read(context, "RuntimeConfig", "", nullptr, [&](const CallContext&) {
    *reply = BuildRuntimeConfig();
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* RuntimeService::UpdateRuntimeConfig(
    CallbackServerContext* context,
    const cri::UpdateRuntimeConfigRequest* request,
    cri::UpdateRuntimeConfigResponse*) {
  const std::string& ranges =
      request->runtime_config().network_config().pod_cidr();
  return StartRpc(pool_, context,
                  Change("UpdateRuntimeConfig", ranges, request), nullptr,
                  [this, &ranges](const CallContext& caller, RpcCall*) {
                    return node_->UpdatePodRanges(ranges, caller.deadline);
                  });
}

// ---- Pod sandboxes --------------------------------------------------------

grpc::ServerUnaryReactor* RuntimeService::RunPodSandbox(
    CallbackServerContext* context, const cri::RunPodSandboxRequest* request,
    cri::RunPodSandboxResponse* reply) {
  const cri::PodSandboxMetadata& name = request->config().metadata();
  RpcCall call = Change("RunPodSandbox", "", request);
  call.detail = absl::StrCat("pod=", name.namespace_(), "/", name.name(), "/",
                             name.uid(), "/", name.attempt());
  return StartRpc(pool_, context, std::move(call), nullptr,
                  [this, request, reply](const CallContext& caller,
                                         RpcCall* done) -> absl::Status {
                    ASSIGN_OR_RETURN(std::string id,
                                     node_->sandboxes().Run(*request, caller));
                    done->object = id;
                    reply->set_pod_sandbox_id(std::move(id));
                    return absl::OkStatus();
                  });
}

grpc::ServerUnaryReactor* RuntimeService::StopPodSandbox(
    CallbackServerContext* context, const cri::StopPodSandboxRequest* request,
    cri::StopPodSandboxResponse*) {
  return StartRpc(
      pool_, context,
      Change("StopPodSandbox", request->pod_sandbox_id(), request), nullptr,
      [this, request](const CallContext& caller, RpcCall*) {
        return node_->sandboxes().Stop(request->pod_sandbox_id(), caller);
      });
}

grpc::ServerUnaryReactor* RuntimeService::RemovePodSandbox(
    CallbackServerContext* context, const cri::RemovePodSandboxRequest* request,
    cri::RemovePodSandboxResponse*) {
  return StartRpc(
      pool_, context,
      Change("RemovePodSandbox", request->pod_sandbox_id(), request), nullptr,
      [this, request](const CallContext& caller, RpcCall*) {
        return node_->sandboxes().Remove(request->pod_sandbox_id(), caller);
      });
}

grpc::Status RuntimeService::PodSandboxStatus(
    ServerContext* context, const cri::PodSandboxStatusRequest* request,
    cri::PodSandboxStatusResponse* reply) {
  const std::string& id = request->pod_sandbox_id();
  return Read(context, "PodSandboxStatus", id, reply, [&](const CallContext&) {
    return Put(node_->sandboxes().Status(id, request->verbose()), reply);
  });
}

grpc::Status RuntimeService::ListPodSandbox(
    ServerContext* context, const cri::ListPodSandboxRequest* request,
    cri::ListPodSandboxResponse* reply) {
  return Read(context, "ListPodSandbox", "", nullptr, [&](const CallContext&) {
    for (cri::PodSandbox& item : node_->sandboxes().List(request->filter())) {
      *reply->add_items() = std::move(item);
    }
    return absl::OkStatus();
  });
}

grpc::Status RuntimeService::StreamPodSandboxes(
    ServerContext* context, const cri::StreamPodSandboxesRequest* request,
    ServerWriter<cri::StreamPodSandboxesResponse>* writer) {
  return Read(
      context, "StreamPodSandboxes", "", nullptr, [&](const CallContext&) {
        return StreamItems(node_->sandboxes().List(request->filter()),
                           &cri::StreamPodSandboxesResponse::add_pod_sandboxes,
                           writer);
      });
}

grpc::ServerUnaryReactor* RuntimeService::UpdatePodSandboxResources(
    CallbackServerContext* context,
    const cri::UpdatePodSandboxResourcesRequest* request,
    cri::UpdatePodSandboxResourcesResponse*) {
  return StartRpc(
      pool_, context,
      Change("UpdatePodSandboxResources", request->pod_sandbox_id(), request),
      nullptr, [this, request](const CallContext& caller, RpcCall*) {
        return node_->sandboxes().UpdateResources(*request, caller);
      });
}

// ---- Containers -----------------------------------------------------------

grpc::ServerUnaryReactor* RuntimeService::CreateContainer(
    CallbackServerContext* context, const cri::CreateContainerRequest* request,
    cri::CreateContainerResponse* reply) {
  const cri::ContainerConfig& config = request->config();
  RpcCall call = Change("CreateContainer", "", request);
  call.detail = absl::StrCat(
      "pod=", request->pod_sandbox_id(), " name=", config.metadata().name(),
      "/", config.metadata().attempt(), " image=", config.image().image());
  return StartRpc(pool_, context, std::move(call), nullptr,
                  [this, request, reply](const CallContext& caller,
                                         RpcCall* done) -> absl::Status {
                    ASSIGN_OR_RETURN(std::string id, node_->containers().Create(
                                                         *request, caller));
                    done->object = id;
                    reply->set_container_id(std::move(id));
                    return absl::OkStatus();
                  });
}

grpc::ServerUnaryReactor* RuntimeService::StartContainer(
    CallbackServerContext* context, const cri::StartContainerRequest* request,
    cri::StartContainerResponse*) {
  return StartRpc(
      pool_, context,
      Change("StartContainer", request->container_id(), request), nullptr,
      [this, request](const CallContext& caller, RpcCall*) {
        return node_->containers().Start(request->container_id(), caller);
      });
}

grpc::ServerUnaryReactor* RuntimeService::StopContainer(
    CallbackServerContext* context, const cri::StopContainerRequest* request,
    cri::StopContainerResponse*) {
  return StartRpc(
      pool_, context, Change("StopContainer", request->container_id(), request),
      nullptr, BeginSteps([this, request](const CallContext& caller, RpcCall*) {
        return node_->containers().BeginStop(request->container_id(),
                                             request->timeout(), caller);
      }));
}

grpc::ServerUnaryReactor* RuntimeService::RemoveContainer(
    CallbackServerContext* context, const cri::RemoveContainerRequest* request,
    cri::RemoveContainerResponse*) {
  return StartRpc(
      pool_, context,
      Change("RemoveContainer", request->container_id(), request), nullptr,
      [this, request](const CallContext& caller, RpcCall*) {
        return node_->containers().Remove(request->container_id(), caller);
      });
}

grpc::Status RuntimeService::ContainerStatus(
    ServerContext* context, const cri::ContainerStatusRequest* request,
    cri::ContainerStatusResponse* reply) {
  const std::string& id = request->container_id();
  return Read(context, "ContainerStatus", id, reply, [&](const CallContext&) {
    return Put(node_->containers().Status(id, request->verbose()), reply);
  });
}

grpc::Status RuntimeService::ListContainers(
    ServerContext* context, const cri::ListContainersRequest* request,
    cri::ListContainersResponse* reply) {
  return Read(context, "ListContainers", "", nullptr, [&](const CallContext&) {
    for (cri::Container& item : node_->containers().List(request->filter())) {
      *reply->add_containers() = std::move(item);
    }
    return absl::OkStatus();
  });
}

grpc::Status RuntimeService::StreamContainers(
    ServerContext* context, const cri::StreamContainersRequest* request,
    ServerWriter<cri::StreamContainersResponse>* writer) {
  return Read(
      context, "StreamContainers", "", nullptr, [&](const CallContext&) {
        return StreamItems(node_->containers().List(request->filter()),
                           &cri::StreamContainersResponse::add_containers,
                           writer);
      });
}

grpc::ServerUnaryReactor* RuntimeService::ReopenContainerLog(
    CallbackServerContext* context,
    const cri::ReopenContainerLogRequest* request,
    cri::ReopenContainerLogResponse*) {
  return StartRpc(
      pool_, context,
      Change("ReopenContainerLog", request->container_id(), request), nullptr,
      [this, request](const CallContext& caller, RpcCall*) {
        return node_->containers().ReopenLog(request->container_id(), caller);
      });
}

grpc::ServerUnaryReactor* RuntimeService::ExecSync(
    CallbackServerContext* context, const cri::ExecSyncRequest* request,
    cri::ExecSyncResponse* reply) {
  RpcCall call = Change("ExecSync", request->container_id(), request);
  call.detail = absl::StrJoin(request->cmd(), " ");
  return StartRpc(
      pool_, context, std::move(call), nullptr,
      BeginSteps([this, request, reply](const CallContext& caller, RpcCall*) {
        return node_->containers().BeginExecSync(*request, caller, reply);
      }));
}

grpc::ServerUnaryReactor* RuntimeService::UpdateContainerResources(
    CallbackServerContext* context,
    const cri::UpdateContainerResourcesRequest* request,
    cri::UpdateContainerResourcesResponse*) {
  return StartRpc(
      pool_, context,
      Change("UpdateContainerResources", request->container_id(), request),
      nullptr, [this, request](const CallContext& caller, RpcCall*) {
        return node_->containers().UpdateResources(*request, caller);
      });
}

// ---- Not built yet --------------------------------------------------------

grpc::Status RuntimeService::CheckpointContainer(
    ServerContext* context, const cri::CheckpointContainerRequest*,
    cri::CheckpointContainerResponse*) {
  return NotBuilt(context, "CheckpointContainer", "does not write checkpoints");
}

grpc::Status RuntimeService::Exec(ServerContext* context,
                                  const cri::ExecRequest*, cri::ExecResponse*) {
  return NotBuilt(context, "Exec", kNoStreams);
}

grpc::Status RuntimeService::Attach(ServerContext* context,
                                    const cri::AttachRequest*,
                                    cri::AttachResponse*) {
  return NotBuilt(context, "Attach", kNoStreams);
}

grpc::Status RuntimeService::PortForward(ServerContext* context,
                                         const cri::PortForwardRequest*,
                                         cri::PortForwardResponse*) {
  return NotBuilt(context, "PortForward", kNoStreams);
}

grpc::Status RuntimeService::ContainerStats(ServerContext* context,
                                            const cri::ContainerStatsRequest*,
                                            cri::ContainerStatsResponse*) {
  return NotBuilt(context, "ContainerStats", kNoStats);
}

grpc::Status RuntimeService::ListContainerStats(
    ServerContext* context, const cri::ListContainerStatsRequest*,
    cri::ListContainerStatsResponse*) {
  return NotBuilt(context, "ListContainerStats", kNoStats);
}

grpc::Status RuntimeService::StreamContainerStats(
    ServerContext* context, const cri::StreamContainerStatsRequest*,
    ServerWriter<cri::StreamContainerStatsResponse>*) {
  return NotBuilt(context, "StreamContainerStats", kNoStats);
}

grpc::Status RuntimeService::PodSandboxStats(ServerContext* context,
                                             const cri::PodSandboxStatsRequest*,
                                             cri::PodSandboxStatsResponse*) {
  return NotBuilt(context, "PodSandboxStats", kNoStats);
}

grpc::Status RuntimeService::ListPodSandboxStats(
    ServerContext* context, const cri::ListPodSandboxStatsRequest*,
    cri::ListPodSandboxStatsResponse*) {
  return NotBuilt(context, "ListPodSandboxStats", kNoStats);
}

grpc::Status RuntimeService::StreamPodSandboxStats(
    ServerContext* context, const cri::StreamPodSandboxStatsRequest*,
    ServerWriter<cri::StreamPodSandboxStatsResponse>*) {
  return NotBuilt(context, "StreamPodSandboxStats", kNoStats);
}

grpc::Status RuntimeService::GetContainerEvents(
    ServerContext* context, const cri::GetEventsRequest*,
    ServerWriter<cri::ContainerEventResponse>*) {
  return NotBuilt(context, "GetContainerEvents", "sends no events; list");
}

grpc::Status RuntimeService::ListMetricDescriptors(
    ServerContext* context, const cri::ListMetricDescriptorsRequest*,
    cri::ListMetricDescriptorsResponse*) {
  return NotBuilt(context, "ListMetricDescriptors", kNoMetrics);
}

grpc::Status RuntimeService::ListPodSandboxMetrics(
    ServerContext* context, const cri::ListPodSandboxMetricsRequest*,
    cri::ListPodSandboxMetricsResponse*) {
  return NotBuilt(context, "ListPodSandboxMetrics", kNoMetrics);
}

grpc::Status RuntimeService::StreamPodSandboxMetrics(
    ServerContext* context, const cri::StreamPodSandboxMetricsRequest*,
    ServerWriter<cri::StreamPodSandboxMetricsResponse>*) {
  return NotBuilt(context, "StreamPodSandboxMetrics", kNoMetrics);
}

}  // namespace warren::agent
