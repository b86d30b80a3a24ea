#include "runtime/base/message_socket.h"

#include <absl/strings/str_cat.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/base/deadline.h"
#include "runtime/base/status.h"

namespace warren::base {
namespace {

absl::StatusOr<sockaddr_un> AddressAt(int dirfd, const std::string& name) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = absl::StrCat("/proc/self/fd/", dirfd, "/", name);
  if (path.size() >= sizeof(address.sun_path)) {
    return ErrnoError(ENAMETOOLONG, absl::StrCat("socket ", name));
  }
  memcpy(address.sun_path, path.data(), path.size());
  return address;
}

absl::StatusOr<UniqueFd> SeqPacketSocket() {
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoError(errno, "socket");
  return fd;
}

absl::Status WaitReadable(int socket, absl::Duration timeout) {
  const absl::Status readable =
      AwaitFd(socket, POLLIN, Deadline::After(timeout));
  if (absl::IsDeadlineExceeded(readable)) {
    return absl::DeadlineExceededError("no message in time");
  }
  return readable;
}

void TakeFds(const msghdr& header, std::vector<UniqueFd>* fds) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr;
       c = CMSG_NXTHDR(const_cast<msghdr*>(&header), c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      fds->emplace_back(fd);
    }
  }
}

}  // namespace

absl::StatusOr<std::pair<UniqueFd, UniqueFd>> SocketPair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoError(errno, "socketpair");
  }
  return std::make_pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

absl::Status SendMessage(int socket, absl::string_view data,
                         const std::vector<int>& fds) {
  if (data.empty() || data.size() > kMaxMessageBytes ||
      fds.size() > kMaxFdsPerMessage) {
    return ErrnoError(EMSGSIZE, "send message");
  }
  iovec iov = {const_cast<char*>(data.data()), data.size()};
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFdsPerMessage * sizeof(int))];
  if (!fds.empty()) {
    memset(control, 0, sizeof(control));
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    memcpy(CMSG_DATA(c), fds.data(), fds.size() * sizeof(int));
  }
  while (sendmsg(socket, &header, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return ErrnoError(errno, "send message");
  }
  return absl::OkStatus();
}

absl::StatusOr<Message> ReceiveMessage(int socket, absl::Duration timeout) {
  RETURN_IF_ERROR(WaitReadable(socket, timeout));
  Message message;
  message.data.resize(kMaxMessageBytes);
  iovec iov = {message.data.data(), message.data.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFdsPerMessage * sizeof(int))];
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ssize_t n;
  while ((n = recvmsg(socket, &header, MSG_CMSG_CLOEXEC)) < 0) {
    // A peer that left without reading all that we sent resets the socket. That
    // is said once, before what it has sent itself and the end of file.
    if (errno != EINTR && errno != ECONNRESET) {
      return ErrnoError(errno, "receive message");
    }
  }
  if (n > 0) TakeFds(header, &message.fds);
  if ((header.msg_flags & MSG_TRUNC) != 0) {
    return ErrnoError(EMSGSIZE, "receive message");
  }
  // There is room for all that a message may carry: what is cut found no free
  // descriptor (recvmsg(2)).
  if ((header.msg_flags & MSG_CTRUNC) != 0) {
    return ErrnoError(EMFILE, "receive message");
  }
  message.data.resize(static_cast<size_t>(n));
  return message;
}

absl::StatusOr<UniqueFd> ListenAt(int dirfd, const std::string& name) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressAt(dirfd, name));
  ASSIGN_OR_RETURN(UniqueFd fd, SeqPacketSocket());
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
           sizeof(address)) != 0 ||
      listen(fd.get(), 8) != 0) {
    return ErrnoError(errno, absl::StrCat("listen at ", name));
  }
  return fd;
}

absl::StatusOr<UniqueFd> ConnectAt(int dirfd, const std::string& name,
                                   absl::Duration timeout) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressAt(dirfd, name));
  ASSIGN_OR_RETURN(UniqueFd fd, SeqPacketSocket());
  // Without it connect(2) waits for ever once the queue of a listener that
  // does not accept is full: unix(7), SO_SNDTIMEO.
  // Zero would mean that again.
  const timeval limit =
      absl::ToTimeval(std::max(timeout, absl::Microseconds(1)));
  if (setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) !=
      0) {
    return ErrnoError(errno, "limit the wait of a socket");
  }
  while (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                 sizeof(address)) != 0) {
    if (errno == EINTR) continue;  // a local connect is whole or has not begun
    if (errno == EAGAIN) {
      return absl::DeadlineExceededError(
          absl::StrCat("connect to ", name, ": nobody accepts in time"));
    }
    return ErrnoError(errno, absl::StrCat("connect to ", name));
  }
  return fd;
}

}  // namespace warren::base
