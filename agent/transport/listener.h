#ifndef WARREN_AGENT_TRANSPORT_LISTENER_H_
#define WARREN_AGENT_TRANSPORT_LISTENER_H_

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

#include "runtime/base/unique_fd.h"

namespace warren::agent {

struct ListenerOptions {
  std::string socket;  // absolute path, at most 107 bytes
  // The socket is 0600 root; with a group 0660, and members of it may connect.
  std::optional<gid_t> group;
  int max_connections = 512;
};

// The daemon's accept loop on a unix socket (API-1, API-4). It exists because
// the library's own listener never accepts again after one EMFILE: here a
// spare descriptor is given up to take such a connection off the queue and
// close it, and accepting goes on.
//
// Who connects must be root, the daemon's own user or a member of the group
// by SO_PEERCRED, whatever the mode of the file says. Beyond max_connections
// a new one is closed at once. A connection counts until the side that got it
// shuts it down or closes: the listener holds a duplicate and waits for its
// EPOLLHUP.
//
// Thread-safe; owns one thread.
class Listener {
 public:
  // Takes over an accepted connection, non-blocking, of the process that
  // called connect(2). Called on the listener's thread. Must shut the socket
  // down (shutdown(2)) before it closes it.
  using Sink =
      std::function<void(base::UniqueFd connection, const ucred& peer)>;

  struct Counters {
    uint64_t accepted = 0;
    uint64_t refused_peer = 0;   // wrong uid
    uint64_t refused_limit = 0;  // over max_connections
    uint64_t refused_fds = 0;    // no descriptor left
    int open = 0;
  };

  // Makes the directory of the socket (0700, or 0750 with a group) and the
  // socket; a stale socket is replaced, a live one is kFailedPrecondition, and
  // so is a directory that others may write to.
  static absl::StatusOr<std::unique_ptr<Listener>> Start(
      const ListenerOptions& options, Sink sink);

  // Stops and removes the socket. Connections that were handed on stay.
  ~Listener();

  // Accepts no more and removes the socket; idempotent.
  void Stop();

  // After Stop(): who has a connection reads its end, as if the peer had gone.
  // What is being written still gets out.
  void HangUp();

  Counters counters() const;

 private:
  Listener(const ListenerOptions& options, Sink sink);
  absl::Status Open();
  void Loop();
  void Accept();
  bool AcceptWithSpare();
  void Admit(base::UniqueFd connection);
  bool Track(int connection);
  void Forget(int duplicate);
  bool Allowed(const ucred& peer) const;
  void Pause(bool pause);

  const ListenerOptions options_;
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

#endif  // WARREN_AGENT_TRANSPORT_LISTENER_H_
