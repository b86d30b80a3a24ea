#ifndef WARREN_AGENT_API_NODE_SERVICE_H_
#define WARREN_AGENT_API_NODE_SERVICE_H_

#include "agent/node/node.h"
#include "warren/node/v1/node.grpc.pb.h"

namespace warren::agent {

// warren.node.v1.NodeService: the gRPC face of what Warren offers beside CRI.
// Thread-safe.
class NodeService final : public ::warren::node::v1::NodeService::Service {
 public:
  // `node` is borrowed.
  explicit NodeService(Node* node) : node_(node) {}

  grpc::Status InspectPodSandbox(
      grpc::ServerContext* context,
      const ::warren::node::v1::InspectPodSandboxRequest* request,
      ::warren::node::v1::InspectPodSandboxResponse* reply) override;

  grpc::Status ImportImage(
      grpc::ServerContext* context,
      grpc::ServerReader<::warren::node::v1::ImportImageRequest>* reader,
      ::warren::node::v1::ImportImageResponse* reply) override;

  grpc::Status PullImage(
      grpc::ServerContext* context,
      const ::warren::node::v1::PullImageRequest* request,
      grpc::ServerWriter<::warren::node::v1::PullImageProgress>* writer)
      override;

  // Does not block, so it runs on gRPC's thread although it changes something.
  grpc::Status Reconcile(grpc::ServerContext* context,
                         const ::warren::node::v1::ReconcileRequest* request,
                         ::warren::node::v1::ReconcileResponse* reply) override;

 private:
  Node* const node_;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_API_NODE_SERVICE_H_
