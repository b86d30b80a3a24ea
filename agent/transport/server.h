#ifndef WARREN_AGENT_TRANSPORT_SERVER_H_
#define WARREN_AGENT_TRANSPORT_SERVER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/transport/listener.h"
#include "agent/transport/peer_acceptors.h"

namespace warren::agent {

// Largest request; as much as clients of CRI take in a reply.
inline constexpr int kMaxMessageBytes = 16 * 1024 * 1024;
// A connection that has not said HTTP/2 after this long is dropped (API-4).
inline constexpr absl::Duration kHandshakeTimeout = absl::Seconds(3);
// Calls at work at once; more are RESOURCE_EXHAUSTED. Most of them wait:
// StopContainer for its container, ExecSync for its command.
inline constexpr int kMaxRpcThreads = 512;

// The gRPC server on its unix socket: synchronous services, reflection and our
// own accept loop. Thread-safe.
class Server {
 public:
  // Serves from now on. `services` are borrowed, must outlive the server and
  // have descriptors (reflection lists them).
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const ListenerOptions& options,
      const std::vector<grpc::Service*>& services);

  // Drains with no patience if nobody has done so.
  ~Server();

  // Accepts no more, lets the calls under way finish for up to `patience`,
  // then cancels them and waits for their handlers. `calls_under_way` counts
  // the calls at work; once it stays 0, idle connections are closed. Streams
  // that end only when told (health) are ended by the caller before. Call once.
  void Drain(absl::Duration patience,
             const std::function<int()>& calls_under_way);

  Listener::Counters connections() const { return listener_->counters(); }

 private:
  Server() = default;
  void Serve(const std::vector<grpc::Service*>& services);

  std::unique_ptr<PeerAcceptors> acceptors_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_TRANSPORT_SERVER_H_
