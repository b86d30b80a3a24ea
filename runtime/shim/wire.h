#ifndef WARREN_RUNTIME_SHIM_WIRE_H_
#define WARREN_RUNTIME_SHIM_WIRE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "runtime/shim/failure.h"
#include "warren/shim/v1/shim.pb.h"

// The shim's side of warren/shim/v1/shim.proto. Messages to the shim are small
// (the request itself is in a memfd), so nothing is allocated per message
// but what protobuf needs.
namespace warren::shim {

// What came over the launch socket. Owns the descriptors.
struct LaunchInput {
  v1::LaunchRequest request;
  std::vector<base::UniqueFd> fds;

  // Descriptor named `index` (from 1) in the request; -1 for 0 or one that
  // was not sent. Borrowed.
  int Fd(uint32_t index) const;
};

// Reads Launch and all Fds messages. Blocking.
Failure ReceiveLaunch(int socket, LaunchInput* input);

// One message from `socket` into `buffer`. Returns its length, 0 at end of
// file, -1 with errno. Received descriptors (CLOEXEC) are appended to `fds`.
long ReceivePacket(int socket, char* buffer, size_t size,
                   std::vector<base::UniqueFd>* fds);

// Sends one message, with a borrowed descriptor unless `fd` is -1, without
// blocking and without SIGPIPE. Returns 0 or errno.
int SendPacket(int socket, const google::protobuf::MessageLite& message,
               int fd = -1);

// Event{failed} on the launch socket; nobody there is fine.
void SendFailure(int socket, const Failure& failure);

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_WIRE_H_
