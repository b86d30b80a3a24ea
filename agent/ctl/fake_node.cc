#include "agent/ctl/fake_node.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "agent/ctl/app.h"
#include "runtime/base/file.h"

namespace warren::agent::ctl {

grpc::Status FakeRuntime::Version(grpc::ServerContext*,
                                  const cri::VersionRequest*,
                                  cri::VersionResponse* response) {
  response->set_version("0.1.0");
  response->set_runtime_name("warren");
  response->set_runtime_version("1.2.3");
  response->set_runtime_api_version("v1");
  return grpc::Status::OK;
}

grpc::Status FakeRuntime::Status(grpc::ServerContext*,
                                 const cri::StatusRequest*,
                                 cri::StatusResponse* response) {
  auto* ready = response->mutable_status()->add_conditions();
  ready->set_type("RuntimeReady");
  ready->set_status(true);
  auto* network = response->mutable_status()->add_conditions();
  network->set_type("NetworkReady");
  network->set_reason("BridgeMissing");
  network->set_message("no bridge");
  return grpc::Status::OK;
}

grpc::Status FakeRuntime::RunPodSandbox(
    grpc::ServerContext*, const cri::RunPodSandboxRequest* request,
    cri::RunPodSandboxResponse* response) {
  last_run = *request;
  response->set_pod_sandbox_id("pod1");
  calls.push_back("RunPodSandbox");
  return grpc::Status::OK;
}

grpc::Status FakeRuntime::StopPodSandbox(
    grpc::ServerContext*, const cri::StopPodSandboxRequest* request,
    cri::StopPodSandboxResponse*) {
  calls.push_back(absl::StrCat("StopPodSandbox ", request->pod_sandbox_id()));
  return grpc::Status::OK;
}

grpc::Status FakeRuntime::StopContainer(grpc::ServerContext*,
                                        const cri::StopContainerRequest*,
                                        cri::StopContainerResponse*) {
  std::unique_lock<std::mutex> lock(stops_mutex_);
  ++stops_;
  stops_changed_.notify_all();
  const bool all = stops_changed_.wait_for(
      lock, std::chrono::seconds(20), [&] { return stops_ >= stops_at_once; });
  return all ? grpc::Status::OK
             : grpc::Status(grpc::StatusCode::UNAVAILABLE, "one at a time");
}

grpc::Status FakeRuntime::RemovePodSandbox(
    grpc::ServerContext*, const cri::RemovePodSandboxRequest* request,
    cri::RemovePodSandboxResponse*) {
  calls.push_back(absl::StrCat("RemovePodSandbox ", request->pod_sandbox_id()));
  return grpc::Status::OK;
}

grpc::Status FakeRuntime::ListPodSandbox(
    grpc::ServerContext*, const cri::ListPodSandboxRequest*,
    cri::ListPodSandboxResponse* response) {
  *response = pods;
  return grpc::Status::OK;
}

grpc::Status FakeRuntime::CreateContainer(
    grpc::ServerContext*, const cri::CreateContainerRequest* request,
    cri::CreateContainerResponse* response) {
  last_create = *request;
  const std::string& name = request->config().metadata().name();
  response->set_container_id(absl::StrCat("id-", name));
  calls.push_back(absl::StrCat("CreateContainer ", name));
  return grpc::Status::OK;
}

grpc::Status FakeRuntime::StartContainer(
    grpc::ServerContext*, const cri::StartContainerRequest* request,
    cri::StartContainerResponse*) {
  calls.push_back(absl::StrCat("StartContainer ", request->container_id()));
  return start_result;
}

grpc::Status FakeRuntime::ContainerStatus(
    grpc::ServerContext*, const cri::ContainerStatusRequest* request,
    cri::ContainerStatusResponse* response) {
  response->mutable_status()->set_id(request->container_id());
  response->mutable_status()->set_log_path(log_path);
  response->mutable_status()->set_state(cri::CONTAINER_EXITED);
  return grpc::Status::OK;
}

grpc::Status FakeRuntime::ListContainers(
    grpc::ServerContext*, const cri::ListContainersRequest* request,
    cri::ListContainersResponse* response) {
  for (const cri::Container& container : containers.containers()) {
    const std::string& wanted = request->filter().pod_sandbox_id();
    if (wanted.empty() || wanted == container.pod_sandbox_id()) {
      *response->add_containers() = container;
    }
  }
  return grpc::Status::OK;
}

grpc::Status FakeRuntime::ExecSync(grpc::ServerContext*,
                                   const cri::ExecSyncRequest* request,
                                   cri::ExecSyncResponse* response) {
  std::string call = absl::StrCat("ExecSync ", request->container_id());
  for (const std::string& word : request->cmd()) {
    absl::StrAppend(&call, " ", word);
  }
  calls.push_back(std::move(call));
  *response = exec;
  return grpc::Status::OK;
}

grpc::Status FakeNodeService::Reconcile(grpc::ServerContext*,
                                        const node::ReconcileRequest*,
                                        node::ReconcileResponse*) {
  ++reconciles;
  return grpc::Status::OK;
}

grpc::Status FakeNodeService::ImportImage(
    grpc::ServerContext*, grpc::ServerReader<node::ImportImageRequest>* reader,
    node::ImportImageResponse* response) {
  node::ImportImageRequest request;
  while (reader->Read(&request)) {
    if (!request.reference().empty()) reference = request.reference();
    largest_chunk = std::max(largest_chunk, request.data().size());
    archive += request.data();
    if (archive.size() > refuse_after) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "digest does not match"};
    }
  }
  response->set_image_id("sha256:abc");
  for (const std::string& remark : remarks) response->add_remarks(remark);
  return grpc::Status::OK;
}

grpc::Status FakeImages::ImageStatus(grpc::ServerContext*,
                                     const cri::ImageStatusRequest* request,
                                     cri::ImageStatusResponse* response) {
  if (missing.count(request->image().image()) == 0) {
    response->mutable_image()->set_id("sha256:abc");
  }
  return grpc::Status::OK;
}

grpc::Status FakeNodeService::PullImage(
    grpc::ServerContext*, const node::PullImageRequest* request,
    grpc::ServerWriter<node::PullImageProgress>* writer) {
  pulls.push_back(*request);
  node::PullImageProgress progress;
  node::LayerProgress* layer = progress.add_layers();
  layer->set_digest("sha256:0123456789abcdef");
  layer->set_size(2048);
  writer->Write(progress);
  if (refuse_pulls) return {grpc::StatusCode::NOT_FOUND, "no such tag"};
  layer->set_state(node::LayerProgress::DONE);
  progress.mutable_image()->set_image_id("sha256:abc");
  writer->Write(progress);
  return grpc::Status::OK;
}

FakeNode::FakeNode() {
  std::string pattern = "/tmp/ctl_test.XXXXXX";
  directory_ = ::mkdtemp(pattern.data());
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket(),
                           grpc::InsecureServerCredentials());
  builder.RegisterService(&runtime);
  builder.RegisterService(&images);
  builder.RegisterService(&node_service);
  server_ = builder.BuildAndStart();
}

FakeNode::~FakeNode() {
  server_->Shutdown();
  (void)base::RemoveTree(AT_FDCWD, directory_);
}

int FakeNode::Ctl(std::vector<std::string> args) {
  std::ostringstream out;
  std::ostringstream err;
  Output output;
  output.out = &out;
  output.err = &err;
  args.insert(args.begin(), {"--socket", socket()});
  const int code = RunWarrenctl(args, output);
  out_ = out.str();
  err_ = err.str();
  return code;
}

}  // namespace warren::agent::ctl
