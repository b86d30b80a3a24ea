#include "agent/ctl/client.h"

#include <absl/strings/str_cat.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/v1/api.grpc.pb.h"
#include "warren/node/v1/node.grpc.pb.h"

namespace warren::agent::ctl {
namespace {

// More than any reply of the daemon, which keeps to 16 MiB.
constexpr int kReceiveLimit = 64 * 1024 * 1024;

std::shared_ptr<grpc::Channel> Connect(const std::string& socket_path) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kReceiveLimit);
  return grpc::CreateCustomChannel(
      "unix:" + socket_path, grpc::InsecureChannelCredentials(), arguments);
}

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
}

}  // namespace

struct Client::Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel)
      : runtime(channel), image(channel), node(channel) {}
  cri::RuntimeService::Stub runtime;
  cri::ImageService::Stub image;
  node::NodeService::Stub node;
};

Client::Client(const std::string& socket_path)
    : socket_path_(socket_path),
      stubs_(std::make_unique<Stubs>(Connect(socket_path))) {}

Client::~Client() = default;

// Runs one RPC under the time limit. When no daemon answers, the error says
// which socket was tried.
template <class RpcCall>
absl::Status Client::Run(RpcCall call, absl::Duration timeout) {
  grpc::ClientContext context;
  if (timeout != absl::InfiniteDuration()) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  }
  const absl::Status status = FromGrpc(call(&context));
  if (absl::IsUnavailable(status)) {
    return base::Annotate(
        status, absl::StrCat("warrend does not answer on ", socket_path_,
                             " (is it running, and is this root?)"));
  }
  return status;
}

// One unary call of a generated stub.
template <class Stub, class Request, class Response>
absl::StatusOr<Response> Client::Unary(
    Stub* stub,
    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                 Response*),
    const Request& request, absl::Duration timeout) {
  Response response;
  RETURN_IF_ERROR(Run(
      [&](grpc::ClientContext* context) {
        return (stub->*method)(context, request, &response);
      },
      timeout));
  return response;
}

absl::StatusOr<cri::VersionResponse> Client::Version() {
  return Unary(&stubs_->runtime, &cri::RuntimeService::Stub::Version,
               cri::VersionRequest(), timeout_);
}

absl::StatusOr<cri::StatusResponse> Client::Status(bool verbose) {
  cri::StatusRequest request;
  request.set_verbose(verbose);
  return Unary(&stubs_->runtime, &cri::RuntimeService::Stub::Status, request,
               timeout_);
}

absl::StatusOr<cri::RunPodSandboxResponse> Client::RunPodSandbox(
    const cri::RunPodSandboxRequest& request) {
  return Unary(&stubs_->runtime, &cri::RuntimeService::Stub::RunPodSandbox,
               request, timeout_);
}

absl::Status Client::StopPodSandbox(const std::string& id) {
  cri::StopPodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  return Unary(&stubs_->runtime, &cri::RuntimeService::Stub::StopPodSandbox,
               request, timeout_)
      .status();
}

absl::Status Client::RemovePodSandbox(const std::string& id) {
  cri::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  return Unary(&stubs_->runtime, &cri::RuntimeService::Stub::RemovePodSandbox,
               request, timeout_)
      .status();
}

absl::StatusOr<cri::PodSandboxStatusResponse> Client::PodSandboxStatus(
    const std::string& id) {
  cri::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(id);
  return Unary(&stubs_->runtime, &cri::RuntimeService::Stub::PodSandboxStatus,
               request, timeout_);
}

absl::StatusOr<cri::ListPodSandboxResponse> Client::ListPodSandbox() {
  return Unary(&stubs_->runtime, &cri::RuntimeService::Stub::ListPodSandbox,
               cri::ListPodSandboxRequest(), timeout_);
}

absl::StatusOr<cri::CreateContainerResponse> Client::CreateContainer(
    const cri::CreateContainerRequest& request) {
  return Unary(&stubs_->runtime, &cri::RuntimeService::Stub::CreateContainer,
               request, timeout_);
}

absl::Status Client::StartContainer(const std::string& id) {
  cri::StartContainerRequest request;
  request.set_container_id(id);
  return Unary(&stubs_->runtime, &cri::RuntimeService::Stub::StartContainer,
               request, timeout_)
      .status();
}

absl::Status Client::StopContainer(const std::string& id,
                                   absl::Duration grace) {
  cri::StopContainerRequest request;
  request.set_container_id(id);
  request.set_timeout(absl::ToInt64Seconds(grace));
  return Unary(&stubs_->runtime, &cri::RuntimeService::Stub::StopContainer,
               request, timeout_ + grace)
      .status();
}

absl::StatusOr<cri::ContainerStatusResponse> Client::ContainerStatus(
    const std::string& id) {
  cri::ContainerStatusRequest request;
  request.set_container_id(id);
  return Unary(&stubs_->runtime, &cri::RuntimeService::Stub::ContainerStatus,
               request, timeout_);
}

absl::StatusOr<cri::ListContainersResponse> Client::ListContainers(
    const std::string& pod_sandbox_id) {
  cri::ListContainersRequest request;
  if (!pod_sandbox_id.empty()) {
    request.mutable_filter()->set_pod_sandbox_id(pod_sandbox_id);
  }
  return Unary(&stubs_->runtime, &cri::RuntimeService::Stub::ListContainers,
               request, timeout_);
}

absl::StatusOr<cri::ExecSyncResponse> Client::ExecSync(
    const cri::ExecSyncRequest& request) {
  const absl::Duration limit = request.timeout() > 0
                                   ? timeout_ + absl::Seconds(request.timeout())
                                   : absl::InfiniteDuration();
  return Unary(&stubs_->runtime, &cri::RuntimeService::Stub::ExecSync, request,
               limit);
}

absl::StatusOr<cri::ListImagesResponse> Client::ListImages() {
  return Unary(&stubs_->image, &cri::ImageService::Stub::ListImages,
               cri::ListImagesRequest(), timeout_);
}

absl::StatusOr<cri::ImageStatusResponse> Client::ImageStatus(
    const std::string& image) {
  cri::ImageStatusRequest request;
  request.mutable_image()->set_image(image);
  return Unary(&stubs_->image, &cri::ImageService::Stub::ImageStatus, request,
               timeout_);
}

absl::Status Client::RemoveImage(const std::string& image) {
  cri::RemoveImageRequest request;
  request.mutable_image()->set_image(image);
  return Unary(&stubs_->image, &cri::ImageService::Stub::RemoveImage, request,
               timeout_)
      .status();
}

absl::Status Client::Reconcile() {
  return Unary(&stubs_->node, &node::NodeService::Stub::Reconcile,
               node::ReconcileRequest(), timeout_)
      .status();
}

absl::StatusOr<node::InspectPodSandboxResponse> Client::InspectPodSandbox(
    const std::string& id) {
  node::InspectPodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  return Unary(&stubs_->node, &node::NodeService::Stub::InspectPodSandbox,
               request, timeout_);
}

absl::StatusOr<node::PulledImage> Client::PullImage(
    const node::PullImageRequest& request,
    const std::function<void(const node::PullImageProgress&)>& progress) {
  node::PulledImage image;
  RETURN_IF_ERROR(Run(
      [&](grpc::ClientContext* context) {
        const auto reader = stubs_->node.PullImage(context, request);
        node::PullImageProgress message;
        while (reader->Read(&message)) {
          progress(message);
          if (message.has_image()) image = message.image();
        }
        return reader->Finish();
      },
      absl::InfiniteDuration()));
  return image;
}

absl::StatusOr<node::ImportImageResponse> Client::ImportImage(
    const std::string& reference,
    const std::function<absl::Status(const Sink&)>& source) {
  node::ImportImageResponse response;
  absl::Status source_error;
  const absl::Status status = Run(
      [&](grpc::ClientContext* context) {
        auto writer = stubs_->node.ImportImage(context, &response);
        node::ImportImageRequest request;
        request.set_reference(reference);
        bool open = writer->Write(request);
        request.clear_reference();
        source_error = source([&](absl::string_view data) {
          while (open && !data.empty()) {
            const size_t size = std::min(data.size(), kImportChunkBytes);
            request.set_data(data.data(), size);
            open = writer->Write(request);
            data.remove_prefix(size);
          }
          return open ? absl::OkStatus()
                      : absl::CancelledError("the server ended the import");
        });
        // Without this the server would take a broken source for the end.
        if (open && !source_error.ok()) context->TryCancel();
        writer->WritesDone();
        const grpc::Status result = writer->Finish();
        if (!open) source_error = absl::OkStatus();
        return result;
      },
      absl::InfiniteDuration());
  RETURN_IF_ERROR(source_error);
  RETURN_IF_ERROR(status);
  return response;
}

}  // namespace warren::agent::ctl
