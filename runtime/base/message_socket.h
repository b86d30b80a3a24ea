#ifndef WARREN_RUNTIME_BASE_MESSAGE_SOCKET_H_
#define WARREN_RUNTIME_BASE_MESSAGE_SOCKET_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/unique_fd.h"

// Whole messages with file descriptors over AF_UNIX SOCK_SEQPACKET (unix(7)):
// what the agent and a shim talk through. Thread-compatible.
namespace warren::base {

// SCM_MAX_FD of Linux: descriptors in one message.
inline constexpr size_t kMaxFdsPerMessage = 253;
// Longer messages travel as a sealed memfd; the kernel's default socket buffer
// (net.core.wmem_default) is 208 KiB.
inline constexpr size_t kMaxMessageBytes = 64 * 1024;

// How long a process that is alive may take to accept a connection.
inline constexpr absl::Duration kConnectTimeout = absl::Seconds(10);

struct Message {
  std::string data;  // empty together with no fds = the peer has gone
  std::vector<UniqueFd> fds;
};

// A connected pair, both CLOEXEC.
absl::StatusOr<std::pair<UniqueFd, UniqueFd>> SocketPair();

// Sends one message; `fds` are borrowed. Never raises SIGPIPE.
absl::Status SendMessage(int socket, absl::string_view data,
                         const std::vector<int>& fds = {});

// Receives one message, blocking until `timeout` (absl::InfiniteDuration() =
// for ever). kDeadlineExceeded when nothing came; an empty Message at end of
// file. Descriptors arrive CLOEXEC.
absl::StatusOr<Message> ReceiveMessage(
    int socket, absl::Duration timeout = absl::InfiniteDuration());

// Listening / connected SEQPACKET socket at dirfd/name. The name is reached
// through /proc/self/fd, so the length of the directory's path does not matter
// (sun_path has 108 bytes). Connect: errno ECONNREFUSED or ENOENT = nobody
// there. A listener that accepts nothing costs at most `timeout`, nothing when
// that is zero or less (kDeadlineExceeded); every later send on the socket may
// block as long (EAGAIN).
absl::StatusOr<UniqueFd> ListenAt(int dirfd, const std::string& name);
absl::StatusOr<UniqueFd> ConnectAt(int dirfd, const std::string& name,
                                   absl::Duration timeout = kConnectTimeout);

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_MESSAGE_SOCKET_H_
