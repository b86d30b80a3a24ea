#ifndef WARREN_TESTS_SUPPORT_CRI_CHANNEL_H_
#define WARREN_TESTS_SUPPORT_CRI_CHANNEL_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <memory>
#include <string>
#include <vector>

namespace warren::test {

// One gRPC connection to a unix socket, moving serialised messages: the only
// unit of the tests that includes gRPC, and able to send what no generated
// stub would. Methods are full names ("/runtime.v1.RuntimeService/Version").
// Receives at most 16 MiB a message, as a kubelet does. The code of a Status
// is the gRPC code. Thread-safe; calls run side by side.
class CriChannel {
 public:
  explicit CriChannel(const std::string& socket);
  ~CriChannel();
  CriChannel(const CriChannel&) = delete;
  CriChannel& operator=(const CriChannel&) = delete;

  // Connects if need be; kUnavailable when it cannot within `patience`.
  absl::Status WaitConnected(absl::Duration patience);

  absl::StatusOr<std::string> Unary(const std::string& method,
                                    const std::string& request,
                                    absl::Duration timeout);
  // All messages of a server stream; an error when the stream ends with one.
  absl::StatusOr<std::vector<std::string>> ServerStream(
      const std::string& method, const std::string& request,
      absl::Duration timeout);
  // Sends all messages, then closes; the reply. Stops early when the server
  // has ended the call.
  absl::StatusOr<std::string> ClientStream(
      const std::string& method, const std::vector<std::string>& requests,
      absl::Duration timeout);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_CRI_CHANNEL_H_
