#ifndef WARREN_AGENT_API_RUNTIME_SERVICE_H_
#define WARREN_AGENT_API_RUNTIME_SERVICE_H_

#include "agent/cri/cri.h"
#include "agent/node/node.h"
#include "runtime/v1/api.grpc.pb.h"

namespace warren::agent {

// runtime.v1.RuntimeService: the gRPC face of the node. Each call is a line or
// two: hand the request to who knows, put the answer into the reply. What each
// means stands in api.proto. All 35 are registered; those that are not built
// yet answer UNIMPLEMENTED with what to do instead. Thread-safe.
class RuntimeService final : public cri::RuntimeService::Service {
 public:
  // `node` is borrowed.
  explicit RuntimeService(Node* node) : node_(node) {}

  grpc::Status Version(grpc::ServerContext* context,
                       const cri::VersionRequest* request,
                       cri::VersionResponse* reply) override;
  grpc::Status Status(grpc::ServerContext* context,
                      const cri::StatusRequest* request,
                      cri::StatusResponse* reply) override;
  grpc::Status RuntimeConfig(grpc::ServerContext* context,
                             const cri::RuntimeConfigRequest* request,
                             cri::RuntimeConfigResponse* reply) override;
  grpc::Status UpdateRuntimeConfig(
      grpc::ServerContext* context,
      const cri::UpdateRuntimeConfigRequest* request,
      cri::UpdateRuntimeConfigResponse* reply) override;
  grpc::Status RunPodSandbox(grpc::ServerContext* context,
                             const cri::RunPodSandboxRequest* request,
                             cri::RunPodSandboxResponse* reply) override;
  grpc::Status StopPodSandbox(grpc::ServerContext* context,
                              const cri::StopPodSandboxRequest* request,
                              cri::StopPodSandboxResponse* reply) override;
  grpc::Status RemovePodSandbox(grpc::ServerContext* context,
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
  grpc::Status UpdatePodSandboxResources(
      grpc::ServerContext* context,
      const cri::UpdatePodSandboxResourcesRequest* request,
      cri::UpdatePodSandboxResourcesResponse* reply) override;
  grpc::Status CreateContainer(grpc::ServerContext* context,
                               const cri::CreateContainerRequest* request,
                               cri::CreateContainerResponse* reply) override;
  grpc::Status StartContainer(grpc::ServerContext* context,
                              const cri::StartContainerRequest* request,
                              cri::StartContainerResponse* reply) override;
  grpc::Status StopContainer(grpc::ServerContext* context,
                             const cri::StopContainerRequest* request,
                             cri::StopContainerResponse* reply) override;
  grpc::Status RemoveContainer(grpc::ServerContext* context,
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
  grpc::Status UpdateContainerResources(
      grpc::ServerContext* context,
      const cri::UpdateContainerResourcesRequest* request,
      cri::UpdateContainerResourcesResponse* reply) override;
  grpc::Status ReopenContainerLog(
      grpc::ServerContext* context,
      const cri::ReopenContainerLogRequest* request,
      cri::ReopenContainerLogResponse* reply) override;
  grpc::Status CheckpointContainer(
      grpc::ServerContext* context,
      const cri::CheckpointContainerRequest* request,
      cri::CheckpointContainerResponse* reply) override;
  grpc::Status ExecSync(grpc::ServerContext* context,
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
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_API_RUNTIME_SERVICE_H_
