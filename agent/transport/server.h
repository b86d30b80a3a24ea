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

#include "agent/caller/admission.h"
#include "agent/transport/caller_acceptors.h"
#include "agent/transport/unix_listener.h"

namespace warren::agent {

// Largest request; as much as clients of CRI take in a reply.
inline constexpr int kMaxMessageBytes = 16 * 1024 * 1024;
// A connection that has not said HTTP/2 after this long is dropped (API-4).
inline constexpr absl::Duration kHandshakeTimeout = absl::Seconds(3);
// Threads of gRPC, one for each synchronous call at work: reads and streams. A
// call that finds none is RESOURCE_EXHAUSTED, so they are enough for every such
// call that is admitted (caller/admission.h), and for those that are about to
// be refused. The other classes take none (api/call_pool.h).
inline constexpr int kMaxRpcThreads = kAdmissionLimits.Of(CallClass::kRead) +
                                      kAdmissionLimits.Of(CallClass::kStream) +
                                      48;

// Where the API is served, with what belongs to that place: who may connect,
// how many at once. There is one kind, a unix socket.
using Endpoint = UnixEndpoint;

// The gRPC server: the services, reflection, and an accept loop of our own for
// each endpoint. All endpoints serve the same services. Thread-safe.
class Server {
 public:
  // Serves at all endpoints from now on; at none when one of them fails, with
  // the error of UnixListener::Start. `services` are borrowed, must outlive the
  // server and have descriptors (reflection lists them).
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const std::vector<Endpoint>& endpoints,
      const std::vector<grpc::Service*>& services);

  // Drains with no patience if nobody has done so.
  ~Server();

  // Accepts no more at any endpoint, lets the calls under way finish for up to
  // `patience`, then cancels them and blocks until their handlers have
  // returned. `calls_under_way` counts the calls at work; once it stays 0, idle
  // connections are closed. Streams that end only when told (health) must have
  // been ended before. Call once.
  void Drain(absl::Duration patience,
             const std::function<int()>& calls_under_way);

 private:
  Server() = default;
  void Serve(const std::vector<grpc::Service*>& services);

  std::unique_ptr<CallerAcceptors> acceptors_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::unique_ptr<UnixListener>> listeners_;  // of the endpoints
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_TRANSPORT_SERVER_H_
