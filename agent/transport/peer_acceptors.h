#ifndef WARREN_AGENT_TRANSPORT_PEER_ACCEPTORS_H_
#define WARREN_AGENT_TRANSPORT_PEER_ACCEPTORS_H_

#include <grpcpp/grpcpp.h>
#include <sys/types.h>

#include <array>
#include <memory>
#include <string>

#include "runtime/base/unique_fd.h"

namespace warren::agent {

// How a call knows which user of the node made it (API-9). gRPC 1.51 names the
// peer of a connection that it was given by its socket address, and the client
// end of a unix socket has none: all are "unix:". What gRPC does tell apart is
// by which acceptor a connection came. So there are several, each for one uid:
// the credentials of an acceptor write that uid into the authentication
// context of each of its connections, where no client can.
//
// The first acceptor is root's. Each further uid has one of its own from its
// first connection on and for good; connections of those that come when none
// is left have no name (PeerOf gives what gRPC says).
//
// The credentials are gRPC's "local" ones: they take no step on the wire, so
// that clients stay insecure ones. 1 to 3 µs for each call; 5 KiB and 0.1 ms
// at the start for each acceptor (measured).
class PeerAcceptors {
 public:
  // With root's, and with the one for all that are left.
  static constexpr int kCount = 8;

  // Adds the acceptors to a server that is about to be built.
  explicit PeerAcceptors(grpc::ServerBuilder* builder);

  // Hands a connection of that user to the server. From one thread only, once
  // the server is built.
  void HandOver(base::UniqueFd connection, uid_t uid);

 private:
  class Namer;
  struct Acceptor {
    std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
    std::shared_ptr<Namer> namer;  // null: the one for all that are left
  };

  std::array<Acceptor, kCount> acceptors_;
};

// "uid:0"; for a connection without a name, and in tests, what gRPC says.
std::string PeerOf(const grpc::ServerContext& context);

}  // namespace warren::agent

#endif  // WARREN_AGENT_TRANSPORT_PEER_ACCEPTORS_H_
