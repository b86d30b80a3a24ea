#ifndef WARREN_AGENT_TRANSPORT_UNIX_LISTENER_H_
#define WARREN_AGENT_TRANSPORT_UNIX_LISTENER_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>

#include "agent/caller/caller.h"
#include "runtime/base/unique_fd.h"

namespace warren::agent {

// A unix socket at which the API is served.
struct UnixEndpoint {
  std::string socket;  // absolute path, at most 107 bytes
  // The socket is 0600 root. With a group it is 0660, and processes that are
  // members of the group may connect.
  std::optional<gid_t> group = std::nullopt;
  // Connections open at this endpoint at one time; more are closed at once.
  int max_connections = 512;
};

// The daemon's accept loop on a unix socket (API-1, API-4).
//
// It exists because the listener of gRPC 1.51 never accepts again after
// accept(2) has failed once with EMFILE. This one keeps a spare descriptor.
// When accept(2) finds no other, it closes the spare, accepts the connection in
// its place, closes the connection and opens the spare again: the client learns
// at once that it was refused, and accepting goes on.
//
// A connection is admitted when the process that called connect(2) runs as
// root, runs as the daemon's own user, or is a member of the endpoint's group.
// The kernel keeps the credentials of that moment with the connection
// (SO_PEERCRED, and SO_PEERGROUPS for supplementary groups: socket(7), Linux
// 4.13); the mode of the file says the same, and is not relied on. No user or
// group is looked up by name: a look-up may block on a network service, and
// one thread accepts for everybody.
//
// A connection counts as open until the side that got it has shut it down or
// closed it. The listener holds a duplicate and waits for its EPOLLHUP.
//
// Thread-safe. Owns one thread, which blocks in nothing but epoll_wait(2).
class UnixListener {
 public:
  // Takes over an admitted connection, non-blocking. `caller` is who called
  // connect(2), `process` the same as the kernel has it, with the process id.
  // Runs on the listener's thread and must not block. Whoever owns the
  // connection afterwards must shut it down (shutdown(2)) before closing it.
  using Sink = std::function<void(base::UniqueFd connection,
                                  const Caller& caller, const ucred& process)>;

  // Since the start, but for `open`.
  struct Counters {
    uint64_t accepted = 0;  // handed to the sink
    uint64_t refused_caller =
        0;                       // neither root, the daemon's user nor a member
    uint64_t refused_limit = 0;  // over max_connections
    uint64_t refused_fds = 0;    // no descriptor left
    int open = 0;
  };

  // Makes the directory of the socket (0700, or 0750 with a group) and the
  // socket. A socket that nobody listens on is replaced. kFailedPrecondition
  // when somebody listens on it, when its path is taken by something else, and
  // when others may write to the directory.
  static absl::StatusOr<std::unique_ptr<UnixListener>> Start(
      const UnixEndpoint& endpoint, Sink sink);

  // Stops and removes the socket. Connections that were handed on stay open.
  ~UnixListener();

  // Accepts no more and removes the socket; idempotent. Blocks until the
  // thread has ended, which takes no longer than one call of the sink.
  void Stop();

  // After Stop(): whoever has a connection reads its end, as if the client had
  // gone. What is being written still gets out.
  void HangUp();

  Counters counters() const;

 private:
  UnixListener(const UnixEndpoint& endpoint, Sink sink);
  absl::Status Open();
  void Loop();
  void Accept();
  bool AcceptWithSpare();
  void Admit(base::UniqueFd connection);
  bool Track(int connection);
  void Forget(int duplicate);
  std::optional<Caller> Identify(int connection, const ucred& process) const;
  void Pause(bool pause);

  const UnixEndpoint endpoint_;
  const Sink sink_;
  base::UniqueFd socket_;
  base::UniqueFd epoll_;
  base::UniqueFd stop_event_;
  base::UniqueFd spare_;
  bool paused_ = false;  // of the loop's thread
  // Duplicates of the open connections, by number; of the loop's thread.
  std::unordered_map<int, base::UniqueFd> open_;
  mutable absl::Mutex mutex_;
  Counters counters_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_TRANSPORT_UNIX_LISTENER_H_
