#include "runtime/shim/stream_clients.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace warren::shim {
namespace {

// One packet of a stream. 0, or errno: EAGAIN = the client's buffer is full.
int SendOutput(int socket, v1::Stream stream, const char* data, size_t size) {
  char tag = static_cast<char>(stream);
  iovec parts[2] = {{&tag, 1}, {const_cast<char*>(data), size}};
  msghdr packet = {};
  packet.msg_iov = parts;
  packet.msg_iovlen = size == 0 ? 1 : 2;
  while (sendmsg(socket, &packet, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

// Best effort: with less, the client is only cut off sooner.
void EnlargeBuffer(int socket) {
  const int size = kStreamBufferBytes;
  if (setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) !=
      0) {
    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
  }
}

}  // namespace

bool ProgramInput::ReadFrom(int client, bool* broken) {
  // MSG_TRUNC: the true length of a packet that does not fit.
  const ssize_t n = recv(client, buffer_, kMaxInput, MSG_DONTWAIT | MSG_TRUNC);
  // ECONNRESET is said once, by a client that left output unread; what it sent
  // before is still there.
  if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNRESET)) {
    return true;
  }
  *broken = n > static_cast<ssize_t>(kMaxInput);
  if (n <= 0 || *broken) return false;
  at_ = 0;
  used_ = static_cast<size_t>(n);
  Write();
  return true;
}

void ProgramInput::Write() {
  while (pending()) {
    const ssize_t n = fd_.valid() ? write(fd_.get(), buffer_ + at_, used_ - at_)
                                  : static_cast<ssize_t>(used_ - at_);
    if (n > 0) {
      at_ += static_cast<size_t>(n);
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && errno == EAGAIN) {
      return;
    } else {
      // The program has closed it: what comes is dropped.
      if (!is_terminal_) fd_.reset();
      at_ = used_;
    }
  }
  if (closing_) fd_.reset();
}

void ProgramInput::CloseWhenWritten() {
  if (is_terminal_) return;
  closing_ = true;
  if (!pending()) fd_.reset();
}

int StreamClients::Add(const v1::Attach& attach, base::UniqueFd* socket) {
  if (attach.stdin() && !input_.open()) return ENXIO;
  DropOneThatHungUp();
  for (Client& client : clients_) {
    if (client.socket.valid()) continue;
    EnlargeBuffer(socket->get());
    client.socket = std::move(*socket);
    client.output = attach.output();
    client.input = attach.stdin();
    client.closes_stdin = attach.close_stdin_at_end();
    return 0;
  }
  return EBUSY;
}

void StreamClients::DropOneThatHungUp() {
  for (const Client& client : clients_) {
    if (!client.socket.valid()) return;
  }
  for (Client& client : clients_) {
    pollfd look = {client.socket.get(), 0, 0};
    if (poll(&look, 1, 0) > 0) {
      client.socket.reset();
      return;
    }
  }
}

void StreamClients::Write(v1::Stream stream, const char* data, size_t size) {
  for (Client& client : clients_) {
    if (!client.socket.valid() || !client.output) continue;
    const int error = SendOutput(client.socket.get(), stream, data, size);
    if (error == 0) continue;
    // One that has gone may have left input, which Serve() reads to its end.
    const bool gone = error == EPIPE || error == ECONNRESET;
    client.output = false;
    if (!gone || !client.input) client.socket.reset();
  }
}

void StreamClients::AddTo(pollfd* polled) const {
  for (int i = 0; i < kMax; ++i) {
    const Client& client = clients_[i];
    // While the program does not read, input clients are not polled: poll would
    // report their hang-up again and again.
    const bool waits = client.input && input_.pending();
    polled[i].fd = waits ? -1 : client.socket.get();
    polled[i].events = client.input ? POLLIN : 0;
    polled[i].revents = 0;
  }
  polled[kMax] = {input_.pending() ? input_.fd() : -1, POLLOUT, 0};
}

void StreamClients::Serve(const pollfd* polled) {
  if (polled[kMax].revents != 0) input_.Write();
  for (int i = 0; i < kMax; ++i) {
    Client& client = clients_[i];
    // It was not polled, or was cut off since.
    if (polled[i].fd < 0 || client.socket.get() != polled[i].fd) continue;
    if ((polled[i].revents & POLLIN) != 0) {
      ReadInput(&client);
    } else if ((polled[i].revents & (POLLHUP | POLLERR)) != 0) {
      client.socket.reset();
    }
  }
}

void StreamClients::ReadInput(Client* client) {
  if (input_.pending()) return;  // another client of this turn came first
  bool broken = false;
  if (input_.ReadFrom(client->socket.get(), &broken)) return;
  client->input = false;
  if (broken) {
    client->socket.reset();
  } else if (client->closes_stdin) {
    input_.CloseWhenWritten();
  }
}

void StreamClients::Finish() {
  Write(v1::END, nullptr, 0);
  for (Client& client : clients_) client.socket.reset();
}

}  // namespace warren::shim
