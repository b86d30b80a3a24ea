#ifndef WARREN_AGENT_API_RUNTIME_SERVICE_H_
#define WARREN_AGENT_API_RUNTIME_SERVICE_H_

#include "agent/api/call_pool.h"
#include "agent/cri/cri.h"
#include "agent/node/node.h"
#include "runtime/v1/api.grpc.pb.h"

namespace warren::agent {

// The calls that may wait are callbacks: they run on a CallPool. The others
// have a thread of gRPC, and answer at once.
using PooledRuntimeService = cri::RuntimeService::WithCallbackMethod_UpdateRuntimeConfig<
    cri::RuntimeService::WithCallbackMethod_RunPodSandbox<
        cri::RuntimeService::WithCallbackMethod_StopPodSandbox<
            cri::RuntimeService::WithCallbackMethod_RemovePodSandbox<
                cri::RuntimeService::WithCallbackMethod_UpdatePodSandboxResources<
                    cri::RuntimeService::WithCallbackMethod_CreateContainer<
                        cri::RuntimeService::WithCallbackMethod_StartContainer<
                            cri::RuntimeService::WithCallbackMethod_StopContainer<
                                cri::RuntimeService::WithCallbackMethod_RemoveContainer<
                                    cri::RuntimeService::
                                        WithCallbackMethod_UpdateContainerResources<
                                            cri::RuntimeService::
                                                WithCallbackMethod_ReopenContainerLog<
                                                    cri::RuntimeService::
                                                        WithCallbackMethod_ExecSync<
                                                            cri::RuntimeService::
                                                                Service>>>>>>>>>>>>;

// runtime.v1.RuntimeService: the gRPC face of the node. Each call is a line or
// two: hand the request to who knows, put the answer into the reply. What each
// means stands in api.proto. All 35 are registered; those that are not built
// yet answer UNIMPLEMENTED with what to do instead. Thread-safe.
class RuntimeService final : public PooledRuntimeService {
 public:
  // Both are borrowed, and outlive the server.
  RuntimeService(Node* node, CallPool* pool) : node_(node), pool_(pool) {}

  grpc::Status Version(grpc::ServerContext* context,
                       const cri::VersionRequest* request,
                       cri::VersionResponse* reply) override;
  grpc::Status Status(grpc::ServerContext* context,
                      const cri::StatusRequest* request,
                      cri::StatusResponse* reply) override;
  grpc::Status RuntimeConfig(grpc::ServerContext* context,
                             const cri::RuntimeConfigRequest* request,
                             cri::RuntimeConfigResponse* reply) override;
  grpc::ServerUnaryReactor* UpdateRuntimeConfig(
      grpc::CallbackServerContext* context,
      const cri::UpdateRuntimeConfigRequest* request,
      cri::UpdateRuntimeConfigResponse* reply) override;
  grpc::ServerUnaryReactor* RunPodSandbox(
      grpc::CallbackServerContext* context,
      const cri::RunPodSandboxRequest* request,
      cri::RunPodSandboxResponse* reply) override;
  grpc::ServerUnaryReactor* StopPodSandbox(
      grpc::CallbackServerContext* context,
      const cri::StopPodSandboxRequest* request,
      cri::StopPodSandboxResponse* reply) override;
  grpc::ServerUnaryReactor* RemovePodSandbox(
      grpc::CallbackServerContext* context,
      const cri::RemovePodSandboxRequest* request,
      cri::RemovePodSandboxResponse* reply) override;
  grpc::Status PodSandboxStatus(grpc::ServerContext* context,
                                const cri::PodSandboxStatusRequest* request,
                                cri::PodSandboxStatusResponse* reply) override;
  grpc::Status ListPodSandbox(grpc::ServerContext* context,
                              const cri::ListPodSandboxRequest* request,
                              cri::ListPodSandboxResponse* reply) override;
  grpc::Status StreamPodSandboxes(
      grpc::ServerContext* context,
      const cri::StreamPodSandboxesRequest* request,
      grpc::ServerWriter<cri::StreamPodSandboxesResponse>* writer) override;
  grpc::ServerUnaryReactor* UpdatePodSandboxResources(
      grpc::CallbackServerContext* context,
      const cri::UpdatePodSandboxResourcesRequest* request,
      cri::UpdatePodSandboxResourcesResponse* reply) override;
  grpc::ServerUnaryReactor* CreateContainer(
      grpc::CallbackServerContext* context,
      const cri::CreateContainerRequest* request,
      cri::CreateContainerResponse* reply) override;
  grpc::ServerUnaryReactor* StartContainer(
      grpc::CallbackServerContext* context,
      const cri::StartContainerRequest* request,
      cri::StartContainerResponse* reply) override;
  grpc::ServerUnaryReactor* StopContainer(
      grpc::CallbackServerContext* context,
      const cri::StopContainerRequest* request,
      cri::StopContainerResponse* reply) override;
  grpc::ServerUnaryReactor* RemoveContainer(
      grpc::CallbackServerContext* context,
      const cri::RemoveContainerRequest* request,
      cri::RemoveContainerResponse* reply) override;
  grpc::Status ContainerStatus(grpc::ServerContext* context,
                               const cri::ContainerStatusRequest* request,
                               cri::ContainerStatusResponse* reply) override;
  grpc::Status ListContainers(grpc::ServerContext* context,
                              const cri::ListContainersRequest* request,
                              cri::ListContainersResponse* reply) override;
  grpc::Status StreamContainers(
      grpc::ServerContext* context, const cri::StreamContainersRequest* request,
      grpc::ServerWriter<cri::StreamContainersResponse>* writer) override;
  grpc::ServerUnaryReactor* UpdateContainerResources(
      grpc::CallbackServerContext* context,
      const cri::UpdateContainerResourcesRequest* request,
      cri::UpdateContainerResourcesResponse* reply) override;
  grpc::ServerUnaryReactor* ReopenContainerLog(
      grpc::CallbackServerContext* context,
      const cri::ReopenContainerLogRequest* request,
      cri::ReopenContainerLogResponse* reply) override;
  grpc::Status CheckpointContainer(
      grpc::ServerContext* context,
      const cri::CheckpointContainerRequest* request,
      cri::CheckpointContainerResponse* reply) override;
  grpc::ServerUnaryReactor* ExecSync(grpc::CallbackServerContext* context,
                                     const cri::ExecSyncRequest* request,
                                     cri::ExecSyncResponse* reply) override;
  grpc::Status Exec(grpc::ServerContext* context,
                    const cri::ExecRequest* request,
                    cri::ExecResponse* reply) override;
  grpc::Status Attach(grpc::ServerContext* context,
                      const cri::AttachRequest* request,
                      cri::AttachResponse* reply) override;
  grpc::Status PortForward(grpc::ServerContext* context,
                           const cri::PortForwardRequest* request,
                           cri::PortForwardResponse* reply) override;
  grpc::Status ContainerStats(grpc::ServerContext* context,
                              const cri::ContainerStatsRequest* request,
                              cri::ContainerStatsResponse* reply) override;
  grpc::Status ListContainerStats(
      grpc::ServerContext* context,
      const cri::ListContainerStatsRequest* request,
      cri::ListContainerStatsResponse* reply) override;
  grpc::Status StreamContainerStats(
      grpc::ServerContext* context,
      const cri::StreamContainerStatsRequest* request,
      grpc::ServerWriter<cri::StreamContainerStatsResponse>* writer) override;
  grpc::Status PodSandboxStats(grpc::ServerContext* context,
                               const cri::PodSandboxStatsRequest* request,
                               cri::PodSandboxStatsResponse* reply) override;
  grpc::Status ListPodSandboxStats(
      grpc::ServerContext* context,
      const cri::ListPodSandboxStatsRequest* request,
      cri::ListPodSandboxStatsResponse* reply) override;
  grpc::Status StreamPodSandboxStats(
      grpc::ServerContext* context,
      const cri::StreamPodSandboxStatsRequest* request,
      grpc::ServerWriter<cri::StreamPodSandboxStatsResponse>* writer) override;
  grpc::Status ListMetricDescriptors(
      grpc::ServerContext* context,
      const cri::ListMetricDescriptorsRequest* request,
      cri::ListMetricDescriptorsResponse* reply) override;
  grpc::Status ListPodSandboxMetrics(
      grpc::ServerContext* context,
      const cri::ListPodSandboxMetricsRequest* request,
      cri::ListPodSandboxMetricsResponse* reply) override;
  grpc::Status StreamPodSandboxMetrics(
      grpc::ServerContext* context,
      const cri::StreamPodSandboxMetricsRequest* request,
      grpc::ServerWriter<cri::StreamPodSandboxMetricsResponse>* writer)
      override;
  grpc::Status GetContainerEvents(
      grpc::ServerContext* context, const cri::GetEventsRequest* request,
      grpc::ServerWriter<cri::ContainerEventResponse>* writer) override;

 private:
  Node* const node_;
  CallPool* const pool_;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_API_RUNTIME_SERVICE_H_
