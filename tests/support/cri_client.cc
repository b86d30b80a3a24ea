#include "tests/support/cri_client.h"

#include <absl/strings/str_cat.h>
#include <google/protobuf/descriptor.h>

namespace warren::test {
namespace {

constexpr size_t kImportChunk = 256 << 10;

}  // namespace

std::string CriClient::MethodOf(const google::protobuf::Message& request) {
  const auto* type = request.GetDescriptor();
  const auto* file = type->file();
  for (int s = 0; s < file->service_count(); ++s) {
    for (int m = 0; m < file->service(s)->method_count(); ++m) {
      const auto* method = file->service(s)->method(m);
      if (method->input_type() != type) continue;
      return absl::StrCat("/", file->service(s)->full_name(), "/",
                          method->name());
    }
  }
  return "/no.such.Service/" + type->name();
}

absl::Status CriClient::Call(const std::string& method,
                             const google::protobuf::Message& request,
                             google::protobuf::Message* reply,
                             absl::Duration timeout) {
  auto bytes = channel_.Unary(method, request.SerializeAsString(), timeout);
  if (!bytes.ok()) return bytes.status();
  if (!reply->ParseFromString(*bytes)) {
    return absl::DataLossError("the reply does not parse");
  }
  return absl::OkStatus();
}

absl::StatusOr<node::ImportImageResponse> CriClient::ImportImage(
    const std::string& reference, const std::string& archive) {
  std::vector<std::string> messages;
  node::ImportImageRequest first;
  first.set_reference(reference);
  messages.push_back(first.SerializeAsString());
  for (size_t at = 0; at < archive.size(); at += kImportChunk) {
    node::ImportImageRequest request;
    request.set_data(archive.substr(at, kImportChunk));
    messages.push_back(request.SerializeAsString());
  }
  auto bytes = channel_.ClientStream("/warren.node.v1.NodeService/ImportImage",
                                     messages, kCallTimeout);
  if (!bytes.ok()) return bytes.status();
  node::ImportImageResponse reply;
  reply.ParseFromString(*bytes);
  return reply;
}

absl::StatusOr<std::string> CriClient::RunPodSandbox(
    const cri::PodSandboxConfig& config, const std::string& handler) {
  cri::RunPodSandboxRequest request;
  *request.mutable_config() = config;
  request.set_runtime_handler(handler);
  auto reply = Call<cri::RunPodSandboxResponse>(request);
  if (!reply.ok()) return reply.status();
  return reply->pod_sandbox_id();
}

absl::Status CriClient::StopPodSandbox(const std::string& id) {
  cri::StopPodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  return Call<cri::StopPodSandboxResponse>(request).status();
}

absl::Status CriClient::RemovePodSandbox(const std::string& id) {
  cri::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  return Call<cri::RemovePodSandboxResponse>(request).status();
}

absl::StatusOr<cri::PodSandboxStatusResponse> CriClient::PodSandboxStatus(
    const std::string& id, bool verbose) {
  cri::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(id);
  request.set_verbose(verbose);
  return Call<cri::PodSandboxStatusResponse>(request);
}

absl::StatusOr<std::vector<cri::PodSandbox>> CriClient::ListPodSandbox(
    const cri::PodSandboxFilter& filter) {
  cri::ListPodSandboxRequest request;
  *request.mutable_filter() = filter;
  auto reply = Call<cri::ListPodSandboxResponse>(request);
  if (!reply.ok()) return reply.status();
  return std::vector<cri::PodSandbox>(reply->items().begin(),
                                      reply->items().end());
}

absl::StatusOr<std::string> CriClient::CreateContainer(
    const std::string& pod_id, const cri::ContainerConfig& config,
    const cri::PodSandboxConfig& pod_config) {
  cri::CreateContainerRequest request;
  request.set_pod_sandbox_id(pod_id);
  *request.mutable_config() = config;
  *request.mutable_sandbox_config() = pod_config;
  auto reply = Call<cri::CreateContainerResponse>(request);
  if (!reply.ok()) return reply.status();
  return reply->container_id();
}

absl::Status CriClient::StartContainer(const std::string& id) {
  cri::StartContainerRequest request;
  request.set_container_id(id);
  return Call<cri::StartContainerResponse>(request).status();
}

absl::Status CriClient::StopContainer(const std::string& id,
                                      int64_t timeout_seconds) {
  cri::StopContainerRequest request;
  request.set_container_id(id);
  request.set_timeout(timeout_seconds);
  return Call<cri::StopContainerResponse>(request).status();
}

absl::Status CriClient::RemoveContainer(const std::string& id) {
  cri::RemoveContainerRequest request;
  request.set_container_id(id);
  return Call<cri::RemoveContainerResponse>(request).status();
}

absl::StatusOr<cri::ContainerStatus> CriClient::ContainerStatus(
    const std::string& id) {
  cri::ContainerStatusRequest request;
  request.set_container_id(id);
  auto reply = Call<cri::ContainerStatusResponse>(request);
  if (!reply.ok()) return reply.status();
  return reply->status();
}

absl::StatusOr<std::vector<cri::Container>> CriClient::ListContainers(
    const cri::ContainerFilter& filter) {
  cri::ListContainersRequest request;
  *request.mutable_filter() = filter;
  auto reply = Call<cri::ListContainersResponse>(request);
  if (!reply.ok()) return reply.status();
  return std::vector<cri::Container>(reply->containers().begin(),
                                     reply->containers().end());
}

absl::StatusOr<cri::ExecSyncResponse> CriClient::ExecSync(
    const std::string& id, const std::vector<std::string>& command,
    int64_t timeout_seconds, absl::Duration deadline) {
  cri::ExecSyncRequest request;
  request.set_container_id(id);
  for (const std::string& word : command) request.add_cmd(word);
  request.set_timeout(timeout_seconds);
  return Call<cri::ExecSyncResponse>(request, deadline);
}

absl::StatusOr<node::InspectPodSandboxResponse> CriClient::InspectPodSandbox(
    const std::string& id) {
  node::InspectPodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  return Call<node::InspectPodSandboxResponse>(request);
}

}  // namespace warren::test
