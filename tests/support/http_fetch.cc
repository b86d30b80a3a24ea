#include "tests/support/http_fetch.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "tests/support/patience.h"

namespace warren::test {
namespace {

absl::StatusOr<std::string> FetchOnce(const std::string& ip, int port,
                                      const std::string& path) {
  addrinfo hints = {};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (getaddrinfo(ip.c_str(), std::to_string(port).c_str(), &hints, &list) !=
      0) {
    return absl::InvalidArgumentError("not an address: " + ip);
  }
  base::UniqueFd fd(
      socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP));
  const timeval limit = {3, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  const int result = connect(fd.get(), list->ai_addr, list->ai_addrlen);
  const int error = errno;
  freeaddrinfo(list);
  if (result != 0) return base::ErrnoError(error, "connect to " + ip);
  RETURN_IF_ERROR(
      base::WriteFd(fd.get(), absl::StrCat("GET ", path, " HTTP/1.0\r\n\r\n")));
  ASSIGN_OR_RETURN(const std::string reply, base::ReadFd(fd.get(), 1 << 20));
  const size_t body = reply.find("\r\n\r\n");
  if (!absl::StartsWith(reply, "HTTP/") || body == std::string::npos) {
    return absl::InternalError("not HTTP: " + reply);
  }
  return reply.substr(body + 4);
}

}  // namespace

absl::StatusOr<std::string> HttpGet(const std::string& ip, int port,
                                    const std::string& path,
                                    absl::Duration patience) {
  const absl::Time deadline = absl::Now() + Patience(patience);
  for (;;) {
    auto body = FetchOnce(ip, port, path);
    if (body.ok() || absl::Now() > deadline) return body;
    absl::SleepFor(absl::Milliseconds(20));
  }
}

}  // namespace warren::test
