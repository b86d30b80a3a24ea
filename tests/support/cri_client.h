#ifndef WARREN_TESTS_SUPPORT_CRI_CLIENT_H_
#define WARREN_TESTS_SUPPORT_CRI_CLIENT_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "runtime/v1/api.pb.h"
#include "tests/support/cri_channel.h"
#include "warren/node/v1/node.pb.h"

namespace warren::test {

namespace cri = ::runtime::v1;
namespace node = ::warren::node::v1;

inline constexpr absl::Duration kCallTimeout = absl::Minutes(3);

// CRI and NodeService calls with real message types, for any endpoint.
// Thread-safe.
class CriClient {
 public:
  explicit CriClient(const std::string& socket) : channel_(socket) {}

  CriChannel& channel() { return channel_; }

  // One unary call by its full method name.
  absl::Status Call(const std::string& method,
                    const google::protobuf::Message& request,
                    google::protobuf::Message* reply,
                    absl::Duration timeout = kCallTimeout);

  // The call that a request's type names: RunPodSandbox for a
  // RunPodSandboxRequest. `Reply` is its response type.
  template <typename Reply>
  absl::StatusOr<Reply> Call(const google::protobuf::Message& request,
                             absl::Duration timeout = kCallTimeout) {
    Reply reply;
    const absl::Status status =
        Call(MethodOf(request), request, &reply, timeout);
    if (!status.ok()) return status;
    return reply;
  }

  // All items of a server stream of CRI, message by message.
  template <typename Reply>
  absl::StatusOr<std::vector<Reply>> Stream(
      const google::protobuf::Message& request,
      absl::Duration timeout = kCallTimeout) {
    auto messages = channel_.ServerStream(MethodOf(request),
                                          request.SerializeAsString(), timeout);
    if (!messages.ok()) return messages.status();
    std::vector<Reply> replies(messages->size());
    for (size_t i = 0; i < replies.size(); ++i) {
      replies[i].ParseFromString((*messages)[i]);
    }
    return replies;
  }

  // NodeService.ImportImage of an OCI archive in memory.
  absl::StatusOr<node::ImportImageResponse> ImportImage(
      const std::string& reference, const std::string& archive);

  // ---- The same with plain arguments ----
  absl::StatusOr<std::string> RunPodSandbox(const cri::PodSandboxConfig& config,
                                            const std::string& handler = "");
  absl::Status StopPodSandbox(const std::string& id);
  absl::Status RemovePodSandbox(const std::string& id);
  absl::StatusOr<cri::PodSandboxStatusResponse> PodSandboxStatus(
      const std::string& id, bool verbose = false);
  absl::StatusOr<std::vector<cri::PodSandbox>> ListPodSandbox(
      const cri::PodSandboxFilter& filter = {});
  absl::StatusOr<std::string> CreateContainer(
      const std::string& pod_id, const cri::ContainerConfig& config,
      const cri::PodSandboxConfig& pod_config);
  absl::Status StartContainer(const std::string& id);
  absl::Status StopContainer(const std::string& id, int64_t timeout_seconds);
  absl::Status RemoveContainer(const std::string& id);
  absl::StatusOr<cri::ContainerStatus> ContainerStatus(const std::string& id);
  absl::StatusOr<std::vector<cri::Container>> ListContainers(
      const cri::ContainerFilter& filter = {});
  absl::StatusOr<cri::ExecSyncResponse> ExecSync(
      const std::string& id, const std::vector<std::string>& command,
      int64_t timeout_seconds = 0, absl::Duration deadline = kCallTimeout);
  absl::StatusOr<node::InspectPodSandboxResponse> InspectPodSandbox(
      const std::string& id);

 private:
  // "/runtime.v1.RuntimeService/RunPodSandbox" from the request's type.
  static std::string MethodOf(const google::protobuf::Message& request);

  CriChannel channel_;
};

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_CRI_CLIENT_H_
