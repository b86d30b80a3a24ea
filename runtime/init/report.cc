#include "runtime/init/report.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace warren::init {
namespace {

// Puts up to kStdioFdsMax into `fds`, closes the rest; how many came.
size_t TakeFds(const msghdr& header, int* fds) {
  const cmsghdr* c = CMSG_FIRSTHDR(&header);
  if (c == nullptr || c->cmsg_level != SOL_SOCKET ||
      c->cmsg_type != SCM_RIGHTS) {
    return 0;
  }
  const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (size_t i = 0; i < count; ++i) {
    int fd;
    memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    if (i < kStdioFdsMax) {
      fds[i] = fd;
    } else {
      close(fd);
    }
  }
  return count;
}

}  // namespace

int SendReport(int socket, const Report& report, const int* fds,
               size_t fd_count) {
  iovec iov = {const_cast<Report*>(&report), sizeof(report)};
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kStdioFdsMax * sizeof(int))] = {};
  if (fd_count > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
  }
  while (sendmsg(socket, &header, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

int ReceiveReport(int socket, Report* report, int* fds) {
  iovec iov = {report, sizeof(*report)};
  // One more than expected, so that a sender of too many is noticed.
  alignas(
      cmsghdr) char control[CMSG_SPACE((kStdioFdsMax + 1) * sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  for (size_t i = 0; i < kStdioFdsMax; ++i) fds[i] = -1;
  ssize_t n;
  while ((n = recvmsg(socket, &header, MSG_CMSG_CLOEXEC)) < 0) {
    if (errno == ECONNRESET) return 0;
    if (errno != EINTR) return -1;
  }
  if (n == 0) return 0;
  const size_t count = TakeFds(header, fds);
  int error = 0;
  if (n != sizeof(*report) || count > kStdioFdsMax) {
    error = EBADMSG;
  } else if ((header.msg_flags & MSG_CTRUNC) != 0) {
    error = EMFILE;  // the kernel could not give us one: recvmsg(2)
  }
  if (error != 0) {
    for (size_t i = 0; i < kStdioFdsMax; ++i) {
      if (fds[i] >= 0) close(fds[i]);
      fds[i] = -1;
    }
    errno = error;
    return -1;
  }
  report->step[sizeof(report->step) - 1] = '\0';
  report->detail[sizeof(report->detail) - 1] = '\0';
  return 1;
}

void CopyText(char* to, size_t size, const char* from) {
  size_t n = strlen(from);
  if (n >= size) n = size - 1;
  memcpy(to, from, n);
  to[n] = '\0';
}

}  // namespace warren::init
