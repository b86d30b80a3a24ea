#ifndef WARREN_AGENT_TRANSPORT_CALLER_ACCEPTORS_H_
#define WARREN_AGENT_TRANSPORT_CALLER_ACCEPTORS_H_

#include <grpcpp/grpcpp.h>

#include <array>
#include <memory>

#include "agent/caller/caller.h"
#include "runtime/base/unique_fd.h"

namespace warren::agent {

// How a call knows who made it (API-9). gRPC 1.51 identifies the other end of a
// connection by its socket address, and the client's end of a unix socket has
// none: all of them are "unix:". What gRPC does tell apart is by which acceptor
// a connection came. So there are several, and each is for one caller: the
// credentials of an acceptor write that caller into the authentication context
// of each of its connections, which no client can reach.
//
// The first acceptor is root's. A caller that is not known yet gets a free
// acceptor with its first connection, and keeps it until the server ends. When
// none is free, the connection goes to the last acceptor, which is shared: its
// callers are users of the node who were admitted as members of the endpoint's
// group, without a number.
//
// The acceptors ask access.h for the calls of gRPC's reflection service, which
// is the library's own: in these no code of ours runs that could ask.
//
// The credentials are gRPC's "local" ones: they take no step on the wire, so
// that clients stay insecure ones. 1 to 3 µs for each call; 5 KiB and 0.1 ms
// at the start for each acceptor (measured).
//
// Thread-safe once the server is built.
class CallerAcceptors {
 public:
  // With root's, and with the shared one.
  static constexpr int kCount = 8;

  // Adds the acceptors to a server that is about to be built.
  explicit CallerAcceptors(grpc::ServerBuilder* builder);

  // Hands a connection of that caller to the server, once it is built. Does
  // not block. `caller` has been admitted (unix_listener.h).
  void HandOver(base::UniqueFd connection, const Caller& caller);

 private:
  class Namer;
  struct Acceptor {
    std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
    std::shared_ptr<Namer> namer;
  };

  std::array<Acceptor, kCount> acceptors_;
};

// Who made the call; unknown for a connection that did not come through
// CallerAcceptors.
Caller CallerOf(const grpc::ServerContextBase& context);

}  // namespace warren::agent

#endif  // WARREN_AGENT_TRANSPORT_CALLER_ACCEPTORS_H_
