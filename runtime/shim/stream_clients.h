#ifndef WARREN_RUNTIME_SHIM_STREAM_CLIENTS_H_
#define WARREN_RUNTIME_SHIM_STREAM_CLIENTS_H_

#include <poll.h>

#include <cstddef>

#include "runtime/base/unique_fd.h"
#include "warren/shim/v1/shim.pb.h"

namespace warren::shim {

// Longest packet of input (shim.proto, Attach).
inline constexpr size_t kMaxInput = 4096;
// What a client may leave unread before it is cut off. In the kernel: the send
// buffer of its socket; the kernel counts its own bookkeeping into it.
inline constexpr int kStreamBufferBytes = 1 << 20;

// Room of the input that the program has not taken yet.
struct InputBuffer {
  char bytes[kMaxInput];
};

// The program's stdin as the clients feed it: packets one after the other.
// Never blocks; while a rest waits for the program, no client is read.
// Thread-compatible.
class ProgramInput {
 public:
  // Both are borrowed. `fd`: the write end of its pipe or the terminal's
  // master, non-blocking; invalid = it has none.
  ProgramInput(base::UniqueFd* fd, bool is_terminal, InputBuffer* buffer)
      : fd_(*fd), is_terminal_(is_terminal), buffer_(buffer->bytes) {}

  bool open() const { return fd_.valid(); }
  // A rest waits until the program reads.
  bool pending() const { return fd_.valid() && used_ > at_; }
  // To be polled for POLLOUT while pending().
  int fd() const { return fd_.get(); }

  // Reads one packet of `client` and passes on what fits. False: end of input,
  // or a packet that is too long.
  bool ReadFrom(int client, bool* broken);
  // Passes on more of the rest.
  void Write();
  // Closes the program's stdin for good, once nothing is pending. A terminal
  // stays.
  void CloseWhenWritten();

 private:
  base::UniqueFd& fd_;
  const bool is_terminal_;
  bool closing_ = false;
  size_t at_ = 0;
  size_t used_ = 0;
  char* buffer_;
};

// Connections that said Attach: each gets a copy of the output, and may feed
// the program's stdin. A client that does not read is cut off and holds nobody
// up. Memory is the kernel's, in the sockets. Thread-compatible.
class StreamClients {
 public:
  static constexpr int kMax = 8;
  // Entries of AddTo().
  static constexpr int kPolled = kMax + 1;

  explicit StreamClients(ProgramInput* input) : input_(*input) {}

  // Takes `socket` over and returns 0. EBUSY: there are kMax; ENXIO: stdin is
  // asked for and is not open. The socket is the caller's then. The caller
  // sends the reply before it calls Write() again.
  int Add(const v1::Attach& attach, base::UniqueFd* socket);

  // A copy of output to all who want it. Never blocks.
  void Write(v1::Stream stream, const char* data, size_t size);

  // Fills kPolled entries of a poll; Serve() gets them back, before anything is
  // added.
  void AddTo(pollfd* polled) const;
  void Serve(const pollfd* polled);

  // The packet END to all; closes them.
  void Finish();

 private:
  struct Client {
    base::UniqueFd socket;
    bool output = false;
    bool input = false;  // its input has not ended
    bool closes_stdin = false;
  };
  void ReadInput(Client* client);
  // Gives up the place of a client that has gone, when all are taken: a client
  // whose input waits for the program is not polled, so its end goes unseen.
  void DropOneThatHungUp();

  ProgramInput& input_;
  Client clients_[kMax];
};

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_STREAM_CLIENTS_H_
