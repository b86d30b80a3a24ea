#ifndef WARREN_AGENT_CTL_FAKE_NODE_H_
#define WARREN_AGENT_CTL_FAKE_NODE_H_

#include <grpcpp/server.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "agent/ctl/client.h"
#include "runtime/v1/api.grpc.pb.h"
#include "warren/node/v1/node.grpc.pb.h"

// A daemon for tests of warrenctl: answers from plain data, on a real socket.
namespace warren::agent::ctl {

// Answers calls with what its public members hold, and notes what was called.
// Tests set the members between calls.
class FakeRuntime : public cri::RuntimeService::Service {
 public:
  grpc::Status Version(grpc::ServerContext*, const cri::VersionRequest*,
                       cri::VersionResponse* response) override;
  grpc::Status Status(grpc::ServerContext*, const cri::StatusRequest*,
                      cri::StatusResponse* response) override;
  grpc::Status RunPodSandbox(grpc::ServerContext*,
                             const cri::RunPodSandboxRequest* request,
                             cri::RunPodSandboxResponse* response) override;
  grpc::Status StopPodSandbox(grpc::ServerContext*,
                              const cri::StopPodSandboxRequest* request,
                              cri::StopPodSandboxResponse*) override;
  grpc::Status RemovePodSandbox(grpc::ServerContext*,
                                const cri::RemovePodSandboxRequest* request,
                                cri::RemovePodSandboxResponse*) override;
  grpc::Status ListPodSandbox(grpc::ServerContext*,
                              const cri::ListPodSandboxRequest*,
                              cri::ListPodSandboxResponse* response) override;
  grpc::Status CreateContainer(grpc::ServerContext*,
                               const cri::CreateContainerRequest* request,
                               cri::CreateContainerResponse* response) override;
  grpc::Status StartContainer(grpc::ServerContext*,
                              const cri::StartContainerRequest* request,
                              cri::StartContainerResponse*) override;
  // Answers once `stops_at_once` of these calls are under way.
  grpc::Status StopContainer(grpc::ServerContext*,
                             const cri::StopContainerRequest* request,
                             cri::StopContainerResponse*) override;
  grpc::Status ContainerStatus(grpc::ServerContext*,
                               const cri::ContainerStatusRequest* request,
                               cri::ContainerStatusResponse* response) override;
  grpc::Status ListContainers(grpc::ServerContext*,
                              const cri::ListContainersRequest* request,
                              cri::ListContainersResponse* response) override;
  grpc::Status ExecSync(grpc::ServerContext*,
                        const cri::ExecSyncRequest* request,
                        cri::ExecSyncResponse* response) override;

  cri::ListPodSandboxResponse pods;
  cri::ListContainersResponse containers;
  cri::ExecSyncResponse exec;
  std::string log_path;
  grpc::Status start_result;
  // What was called, in order, e.g. "RemovePodSandbox pod1".
  std::vector<std::string> calls;
  int stops_at_once = 0;
  cri::RunPodSandboxRequest last_run;
  cri::CreateContainerRequest last_create;

 private:
  std::mutex stops_mutex_;
  std::condition_variable stops_changed_;
  int stops_ = 0;
};

// Has every image but those that are missing.
class FakeImages : public cri::ImageService::Service {
 public:
  grpc::Status ImageStatus(grpc::ServerContext*,
                           const cri::ImageStatusRequest* request,
                           cri::ImageStatusResponse* response) override;

  std::set<std::string> missing;
};

// Takes an import, keeps its bytes, and refuses it after `refuse_after` of
// them.
class FakeNodeService : public node::NodeService::Service {
 public:
  grpc::Status ImportImage(grpc::ServerContext*,
                           grpc::ServerReader<node::ImportImageRequest>* reader,
                           node::ImportImageResponse* response) override;

  // One layer, in two messages; `refuse_pulls` after the first.
  grpc::Status PullImage(
      grpc::ServerContext*, const node::PullImageRequest* request,
      grpc::ServerWriter<node::PullImageProgress>* writer) override;

  grpc::Status Reconcile(grpc::ServerContext*, const node::ReconcileRequest*,
                         node::ReconcileResponse*) override;

  std::vector<node::PullImageRequest> pulls;
  bool refuse_pulls = false;

  int reconciles = 0;
  std::string reference;
  std::string archive;
  size_t largest_chunk = 0;          // bytes of one message
  size_t refuse_after = ~size_t{0};  // bytes
  std::vector<std::string> remarks;  // of the answer to an import
};

// Both services on a socket in a directory of their own, gone with the object.
class FakeNode {
 public:
  FakeNode();
  ~FakeNode();

  const std::string& directory() const { return directory_; }
  std::string socket() const { return directory_ + "/d.sock"; }
  // Runs warrenctl against this node; its output is in out() and err().
  int Ctl(std::vector<std::string> args);
  std::string out() const { return out_; }
  std::string err() const { return err_; }

  FakeRuntime runtime;
  FakeImages images;
  FakeNodeService node_service;

 private:
  std::string directory_;
  std::unique_ptr<grpc::Server> server_;
  std::string out_;
  std::string err_;
};

}  // namespace warren::agent::ctl

#endif  // WARREN_AGENT_CTL_FAKE_NODE_H_
