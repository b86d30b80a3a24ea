#include "runtime/shim/wire.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace warren::shim {
namespace {

constexpr size_t kMaxFds = 253;          // SCM_MAX_FD
constexpr size_t kSmallMessage = 256;    // Launch, Fds
constexpr size_t kMaxFdCount = 4096;     // of one launch
constexpr off_t kMaxRequest = 16 << 20;  // CRI's own limit of a message

// Parses the memfd in place, without a copy of it on the heap.
Failure ParseRequest(int fd, v1::LaunchRequest* request) {
  struct stat st;
  if (fstat(fd, &st) != 0) return Fail("request", errno);
  if (st.st_size > kMaxRequest) return Fail("request", E2BIG);
  if (st.st_size == 0) return Fail("request", EINVAL);
  const auto size = static_cast<size_t>(st.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) return Fail("request", errno);
  const bool ok = request->ParseFromArray(data, static_cast<int>(size));
  munmap(data, size);
  return ok ? Failure{} : Fail("request", EBADMSG);
}

}  // namespace

int LaunchInput::Fd(uint32_t index) const {
  if (index == 0 || index > fds.size()) return -1;
  return fds[index - 1].get();
}

long ReceivePacket(int socket, char* buffer, size_t size,
                   std::vector<base::UniqueFd>* fds) {
  iovec iov = {buffer, size};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))];
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ssize_t n;
  while ((n = recvmsg(socket, &header, MSG_CMSG_CLOEXEC)) < 0) {
    if (errno == ECONNRESET) return 0;
    if (errno != EINTR) return -1;
  }
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr;
       c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      fds->emplace_back(fd);
    }
  }
  if ((header.msg_flags & MSG_TRUNC) != 0) {
    errno = EMSGSIZE;
    return -1;
  }
  // There is room for all that a message may carry: what is cut found no free
  // descriptor (recvmsg(2)).
  if ((header.msg_flags & MSG_CTRUNC) != 0) {
    errno = EMFILE;
    return -1;
  }
  return n;
}

Failure ReceiveLaunch(int socket, LaunchInput* input) {
  char buffer[kSmallMessage];
  std::vector<base::UniqueFd> first;
  long n = ReceivePacket(socket, buffer, sizeof(buffer), &first);
  if (n < 0) return Fail("launch", errno);
  v1::Launch launch;
  if (first.size() != 1 ||
      !launch.ParseFromArray(buffer, static_cast<int>(n)) ||
      launch.fd_count() > kMaxFdCount) {
    return Fail("launch", EBADMSG);
  }
  input->fds.reserve(launch.fd_count());
  while (input->fds.size() < launch.fd_count()) {
    const size_t before = input->fds.size();
    n = ReceivePacket(socket, buffer, sizeof(buffer), &input->fds);
    if (n < 0) return Fail("launch", errno);
    v1::Fds fds;
    if (n == 0 || !fds.ParseFromArray(buffer, static_cast<int>(n)) ||
        fds.count() == 0 || input->fds.size() != before + fds.count()) {
      return Fail("launch", EBADMSG);
    }
  }
  return ParseRequest(first[0].get(), &input->request);
}

int SendPacket(int socket, const google::protobuf::MessageLite& message,
               int fd) {
  std::string data;
  message.SerializeToString(&data);
  // A message of defaults only is empty, which would read as end-of-file:
  // field 1 = 0, spelled out, is the same to any reader (Reply::error).
  if (data.empty()) data.assign("\x08\x00", 2);
  iovec iov = {data.data(), data.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &fd, sizeof(int));
  }
  while (sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

void SendFailure(int socket, const Failure& failure) {
  v1::Event event;
  v1::Failed* failed = event.mutable_failed();
  failed->set_step(failure.step);
  failed->set_error(failure.error);
  // proto3 text must be UTF-8; a path is bytes that a container may choose.
  std::string detail = failure.detail;
  for (char& c : detail) {
    if (c < 0x20 || c == 0x7f) c = '?';  // char is signed: 0x80… as well
  }
  failed->set_detail(std::move(detail));
  SendPacket(socket, event);
}

}  // namespace warren::shim
