#include "agent/api/node_service.h"

#include <memory>
#include <string>
#include <utility>

#include "agent/api/pull_stream.h"
#include "agent/api/rpc.h"
#include "runtime/base/status.h"

namespace warren::agent {

namespace api = ::warren::node::v1;

namespace {

// What one message may carry; node.proto.
constexpr size_t kMaxChunkBytes = 1024 * 1024;

absl::Status CheckChunk(const api::ImportImageRequest& chunk, bool first) {
  if (first && chunk.reference().empty()) {
    return absl::InvalidArgumentError(
        "reference: missing in the first message");
  }
  if (!first && !chunk.reference().empty()) {
    return absl::InvalidArgumentError(
        "reference: only the first message may carry it");
  }
  if (chunk.data().size() > kMaxChunkBytes) {
    return absl::InvalidArgumentError("data: more than 1 MiB in one message");
  }
  return absl::OkStatus();
}

// Feeds the stream to the store. A session that is not committed leaves
// nothing behind.
absl::Status Import(grpc::ServerReader<api::ImportImageRequest>* reader,
                    image::ImageStore* store, const CallContext& caller,
                    RpcCall* call, api::ImportImageResponse* reply) {
  std::unique_ptr<image::ImportSession> session;
  api::ImportImageRequest chunk;
  while (reader->Read(&chunk)) {
    RETURN_IF_ERROR(CheckChunk(chunk, session == nullptr));
    if (session == nullptr) {
      call->object = chunk.reference();
      ASSIGN_OR_RETURN(session,
                       store->BeginImport(chunk.reference(), /*pinned=*/false));
    }
    RETURN_IF_ERROR(session->Write(chunk.data()));
    RETURN_IF_ERROR(caller.deadline.Check());
  }
  // The end of the stream, or of the client?
  RETURN_IF_ERROR(caller.deadline.Check());
  if (session == nullptr) {
    return absl::InvalidArgumentError("reference: the stream was empty");
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<const image::Image> image,
                   session->Commit());
  call->detail = image->id;
  reply->set_image_id(image->id);
  for (const std::string& tag : image->repo_tags) reply->add_repo_tags(tag);
  reply->set_size_bytes(image->size_bytes);
  for (const std::string& remark : image->remarks) reply->add_remarks(remark);
  return absl::OkStatus();
}

}  // namespace

grpc::Status NodeService::InspectPodSandbox(
    grpc::ServerContext* context, const api::InspectPodSandboxRequest* request,
    api::InspectPodSandboxResponse* reply) {
  RpcCall call{.service = api::NodeService::service_full_name(),
               .name = "InspectPodSandbox",
               .object = request->pod_sandbox_id()};
  return RunRpc(context, &call, reply, [&](const CallContext&) -> absl::Status {
    ASSIGN_OR_RETURN(*reply, node_->Inspect(request->pod_sandbox_id()));
    return absl::OkStatus();
  });
}

grpc::Status NodeService::ImportImage(
    grpc::ServerContext* context,
    grpc::ServerReader<api::ImportImageRequest>* reader,
    api::ImportImageResponse* reply) {
  RpcCall call{.service = api::NodeService::service_full_name(),
               .name = "ImportImage",
               .mutating = true};
  return RunRpc(context, &call, reply, [&](const CallContext& caller) {
    return Import(reader, &node_->image_store(), caller, &call, reply);
  });
}

grpc::Status NodeService::PullImage(
    grpc::ServerContext* context, const api::PullImageRequest* request,
    grpc::ServerWriter<api::PullImageProgress>* writer) {
  RpcCall call{.service = api::NodeService::service_full_name(),
               .name = "PullImage",
               .mutating = true,
               .object = request->reference(),
               .request = request};
  return RunRpc(context, &call, nullptr, [&](const CallContext& caller) {
    return StreamPull(
        *request, &node_->image_puller(), caller,
        [writer](const api::PullImageProgress& message) {
          return writer->Write(message);
        },
        &call.detail);
  });
}

grpc::Status NodeService::Reconcile(grpc::ServerContext* context,
                                    const api::ReconcileRequest* /*request*/,
                                    api::ReconcileResponse* reply) {
  RpcCall call{.service = api::NodeService::service_full_name(),
               .name = "Reconcile",
               .mutating = true};
  return RunRpc(context, &call, reply, [this](const CallContext&) {
    node_->Reconcile();
    return absl::OkStatus();
  });
}

}  // namespace warren::agent
