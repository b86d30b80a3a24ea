#ifndef WARREN_AGENT_CTL_CLIENT_H_
#define WARREN_AGENT_CTL_CLIENT_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>

#include <functional>
#include <memory>
#include <string>

#include "agent/cri/cri.h"
#include "warren/node/v1/node.pb.h"

namespace grpc {
class ClientContext;
class Status;
}  // namespace grpc

// The daemon as warrenctl sees it: one blocking call for each RPC it uses.
// The only file of warrenctl that knows gRPC.
namespace warren::agent::ctl {

namespace node = ::warren::node::v1;

// Bytes that one ImportImageRequest carries; node.proto allows 1 MiB.
inline constexpr size_t kImportChunkBytes = 512 * 1024;

// Errors carry the server's code and message. kUnavailable means that no daemon
// answers on the socket; its message says what to look at. Every call blocks
// until its reply or its time limit (kDeadlineExceeded). Thread-safe.
class Client {
 public:
  // Connects at the first call. `socket_path` is a file, not a URL.
  explicit Client(const std::string& socket_path);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  // Time limit of the calls that have none of their own (default 2 minutes,
  // what a kubelet allows).
  void set_timeout(absl::Duration timeout) { timeout_ = timeout; }

  absl::StatusOr<cri::VersionResponse> Version();
  absl::StatusOr<cri::StatusResponse> Status(bool verbose);

  absl::StatusOr<cri::RunPodSandboxResponse> RunPodSandbox(
      const cri::RunPodSandboxRequest& request);
  absl::Status StopPodSandbox(const std::string& id);
  absl::Status RemovePodSandbox(const std::string& id);
  absl::StatusOr<cri::PodSandboxStatusResponse> PodSandboxStatus(
      const std::string& id);
  absl::StatusOr<cri::ListPodSandboxResponse> ListPodSandbox();

  absl::StatusOr<cri::CreateContainerResponse> CreateContainer(
      const cri::CreateContainerRequest& request);
  absl::Status StartContainer(const std::string& id);
  // `grace` is rounded down to whole seconds.
  absl::Status StopContainer(const std::string& id, absl::Duration grace);
  absl::StatusOr<cri::ContainerStatusResponse> ContainerStatus(
      const std::string& id);
  // Containers of one pod, or of all pods when `pod_sandbox_id` is empty.
  absl::StatusOr<cri::ListContainersResponse> ListContainers(
      const std::string& pod_sandbox_id);
  // Waits as long as the request's own time-out says; without one, for ever.
  absl::StatusOr<cri::ExecSyncResponse> ExecSync(
      const cri::ExecSyncRequest& request);

  absl::StatusOr<cri::ListImagesResponse> ListImages();
  absl::StatusOr<cri::ImageStatusResponse> ImageStatus(
      const std::string& image);
  absl::Status RemoveImage(const std::string& image);

  absl::StatusOr<node::InspectPodSandboxResponse> InspectPodSandbox(
      const std::string& id);

  absl::Status Reconcile();

  // No time limit: an image may be large. `progress` is called for each message
  // of the daemon.
  absl::StatusOr<node::PulledImage> PullImage(
      const node::PullImageRequest& request,
      const std::function<void(const node::PullImageProgress&)>& progress);

  // Takes the bytes of an archive, any number at a time.
  using Sink = std::function<absl::Status(absl::string_view)>;
  // Streams what `source` writes to its sink. The sink fails once the server
  // has given up; the server's error then is the one returned.
  absl::StatusOr<node::ImportImageResponse> ImportImage(
      const std::string& reference,
      const std::function<absl::Status(const Sink&)>& source);

 private:
  struct Stubs;

  template <class RpcCall>
  absl::Status Run(RpcCall call, absl::Duration timeout);
  template <class Stub, class Request, class Response>
  absl::StatusOr<Response> Unary(
      Stub* stub,
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request, absl::Duration timeout);

  std::string socket_path_;
  absl::Duration timeout_ = absl::Minutes(2);
  std::unique_ptr<Stubs> stubs_;
};

}  // namespace warren::agent::ctl

#endif  // WARREN_AGENT_CTL_CLIENT_H_
