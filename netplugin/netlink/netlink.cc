#include "netplugin/netlink/netlink.h"

#include <absl/strings/str_cat.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

// The kernel fills at most 32 KiB of a dump into one datagram
// (netlink_recvmsg caps the hint it takes from the reader).
constexpr size_t kReceiveBytes = 64 * 1024;
// Wider than one page: alias, veth peer and all addresses fit with room.
constexpr size_t kMessageBytes = 8 * 1024;
constexpr int kDumpAttempts = 10;

// The error in an NLMSG_ERROR message, with the kernel's own words if it sent
// any (NETLINK_EXT_ACK). OK for an acknowledgement.
absl::Status ErrorOf(const nlmsghdr* message, absl::string_view what) {
  const auto* error = static_cast<const nlmsgerr*>(nlmsg_data(message));
  if (error->error == 0) return absl::OkStatus();
  std::string where(what);
  if (message->nlmsg_flags & NLM_F_ACK_TLVS) {
    // NETLINK_CAP_ACK: the request itself is not echoed, only its header.
    const Attributes attributes(message, sizeof(nlmsgerr), NLMSGERR_ATTR_MAX);
    const std::string text = attributes.String(NLMSGERR_ATTR_MSG);
    if (!text.empty()) absl::StrAppend(&where, ": ", text);
  }
  return base::ErrnoError(-error->error, where);
}

bool HoldsError(const nlmsghdr* message) {
  return message->nlmsg_type == NLMSG_ERROR &&
         message->nlmsg_len >= NLMSG_HDRLEN + sizeof(nlmsgerr);
}

}  // namespace

Attributes::Attributes(const nlmsghdr* message, size_t header_size,
                       int max_type)
    : table_(max_type + 1) {
  // Fails only on a malformed message, and then leaves the table empty.
  nlmsg_parse(const_cast<nlmsghdr*>(message), header_size, table_.data(),
              max_type, nullptr);
}

Attributes::Attributes(const nlattr* outer, int max_type)
    : table_(max_type + 1) {
  if (outer == nullptr) return;
  nla_parse_nested(table_.data(), max_type, const_cast<nlattr*>(outer),
                   nullptr);
}

const nlattr* Attributes::Find(int type) const {
  return static_cast<size_t>(type) < table_.size() ? table_[type] : nullptr;
}

uint32_t Attributes::U32(int type, uint32_t missing) const {
  const absl::string_view bytes = Bytes(type);
  if (bytes.size() < sizeof(uint32_t)) return missing;
  uint32_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

std::string Attributes::String(int type) const {
  const absl::string_view bytes = Bytes(type);
  return std::string(bytes.substr(0, bytes.find('\0')));
}

absl::string_view Attributes::Bytes(int type) const {
  const nlattr* attribute = Find(type);
  if (attribute == nullptr) return {};
  return {static_cast<const char*>(nla_data(attribute)),
          static_cast<size_t>(nla_len(attribute))};
}

Request::Request(std::string what, uint16_t type, uint16_t flags,
                 const void* header, size_t size)
    : what_(std::move(what)), message_(nlmsg_alloc_size(kMessageBytes)) {
  if (message_ != nullptr && nlmsg_put(message_.get(), 0, 0, type, 0,
                                       flags | NLM_F_REQUEST) == nullptr) {
    message_.reset();
  }
  if (message_ == nullptr) {
    status_ = base::ErrnoError(ENOMEM, what_);
    return;
  }
  Append(header, size);
}

Request::Request(Request&&) noexcept = default;
Request& Request::operator=(Request&&) noexcept = default;
Request::~Request() = default;

void Request::Deleter::operator()(nl_msg* message) const {
  nlmsg_free(message);
}

void Request::Latch(bool ok) {
  if (!ok && status_.ok()) {
    status_ = absl::InvalidArgumentError(
        absl::StrCat(what_, ": netlink attribute too long"));
  }
}

Request& Request::Bytes(int type, const void* data, size_t size) {
  if (!status_.ok()) return *this;
  // nla_put takes an int and stores 16 bits; a longer value would wrap.
  const bool fits = size <= UINT16_MAX - NLA_HDRLEN;
  Latch(fits &&
        nla_put(message_.get(), type, static_cast<int>(size), data) == 0);
  return *this;
}

Request& Request::U8(int type, uint8_t value) {
  return Bytes(type, &value, sizeof(value));
}

Request& Request::U32(int type, uint32_t value) {
  return Bytes(type, &value, sizeof(value));
}

Request& Request::String(int type, absl::string_view value) {
  const std::string copy(value);
  return Bytes(type, copy.c_str(), copy.size() + 1);
}

Request& Request::Nest(int type, absl::FunctionRef<void()> fill) {
  if (!status_.ok()) return *this;
  nlattr* outer = nla_nest_start(message_.get(), type);
  Latch(outer != nullptr);
  if (!status_.ok()) return *this;
  fill();
  if (!status_.ok()) return *this;
  const size_t size = static_cast<char*>(nlmsg_tail(message())) -
                      reinterpret_cast<char*>(outer);
  Latch(size <= UINT16_MAX &&
        nla_nest_end_keep_empty(message_.get(), outer) == 0);
  return *this;
}

Request& Request::Append(const void* data, size_t size) {
  if (!status_.ok()) return *this;
  Latch(size < kMessageBytes &&
        nlmsg_append(message_.get(), const_cast<void*>(data), size,
                     NLMSG_ALIGNTO) == 0);
  return *this;
}

nlmsghdr* Request::message() { return nlmsg_hdr(message_.get()); }

absl::StatusOr<NetlinkSocket> NetlinkSocket::Open(int protocol) {
  NetlinkSocket opened;
  opened.socket_.reset(nl_socket_alloc());
  if (opened.socket_ == nullptr) {
    return base::ErrnoError(ENOMEM, "opening a netlink socket");
  }
  errno = 0;
  if (const int code = nl_connect(opened.socket_.get(), protocol); code < 0) {
    if (errno != 0) return base::ErrnoError(errno, "opening a netlink socket");
    return absl::InternalError(
        absl::StrCat("opening a netlink socket: ", nl_geterror(code)));
  }
  const int fd = nl_socket_get_fd(opened.socket_.get());
  const int on = 1;
  // Without them errors only lose their text and dumps their filter.
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
  opened.buffer_.resize(kReceiveBytes);
  return opened;
}

NetlinkSocket::NetlinkSocket(NetlinkSocket&&) noexcept = default;
NetlinkSocket& NetlinkSocket::operator=(NetlinkSocket&&) noexcept = default;
NetlinkSocket::~NetlinkSocket() = default;

void NetlinkSocket::Deleter::operator()(nl_sock* socket) const {
  nl_socket_free(socket);
}

absl::Status NetlinkSocket::Send(const void* data, size_t size) {
  const int fd = nl_socket_get_fd(socket_.get());
  sockaddr_nl kernel = {};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent;
  do {
    sent = sendto(fd, data, size, 0, reinterpret_cast<sockaddr*>(&kernel),
                  sizeof(kernel));
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return base::ErrnoError(errno, "sending to netlink");
  return absl::OkStatus();
}

// Bytes of the next datagram from the kernel in buffer_, 0 when none waits and
// `flags` has MSG_DONTWAIT. Datagrams of other processes are dropped.
absl::StatusOr<size_t> NetlinkSocket::Receive(int flags) {
  const int fd = nl_socket_get_fd(socket_.get());
  while (true) {
    sockaddr_nl from = {};
    socklen_t from_size = sizeof(from);
    const ssize_t got =
        recvfrom(fd, buffer_.data(), buffer_.size(), flags | MSG_TRUNC,
                 reinterpret_cast<sockaddr*>(&from), &from_size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return 0;
    if (got < 0) return base::ErrnoError(errno, "receiving from netlink");
    if (static_cast<size_t>(got) > buffer_.size()) {
      return absl::InternalError("a netlink answer is too long");
    }
    if (from.nl_pid == 0) return static_cast<size_t>(got);
  }
}

absl::Status NetlinkSocket::Execute(Request request) {
  std::vector<Request> one;
  one.push_back(std::move(request));
  return Execute(std::move(one));
}

absl::Status NetlinkSocket::Execute(std::vector<Request> requests) {
  if (requests.empty()) return absl::OkStatus();
  const uint32_t first = sequence_ + 1;
  std::string batch;
  for (Request& request : requests) {
    RETURN_IF_ERROR(request.status());
    nlmsghdr* message = request.message();
    message->nlmsg_seq = ++sequence_;
    // Errors always answer; only the end needs an acknowledgement.
    if (&request == &requests.back()) message->nlmsg_flags |= NLM_F_ACK;
    batch.append(reinterpret_cast<const char*>(message), message->nlmsg_len);
    batch.resize(NLMSG_ALIGN(batch.size()));
  }
  RETURN_IF_ERROR_IN(Send(batch.data(), batch.size()), requests[0].what());
  absl::Status result;
  for (bool done = false; !done;) {
    ASSIGN_OR_RETURN_IN(const size_t got, Receive(0), requests[0].what());
    int left = static_cast<int>(got);
    auto* message = reinterpret_cast<nlmsghdr*>(buffer_.data());
    for (; nlmsg_ok(message, left); message = nlmsg_next(message, &left)) {
      const uint32_t step = message->nlmsg_seq - first;
      // Leftovers of an earlier, failed exchange are passed over.
      if (!HoldsError(message) || step >= requests.size()) continue;
      base::Update(&result, ErrorOf(message, requests[step].what()));
      done = done || step == requests.size() - 1;
    }
  }
  return result;
}

absl::Status NetlinkSocket::Query(Request request,
                                  absl::FunctionRef<void(const nlmsghdr*)> each,
                                  absl::FunctionRef<void()> restart) {
  RETURN_IF_ERROR(request.status());
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    bool disturbed = false;
    RETURN_IF_ERROR(QueryOnce(request, each, &disturbed));
    if (!disturbed) return absl::OkStatus();
    restart();
  }
  return absl::InternalError(
      absl::StrCat(request.what(), ": the objects kept changing"));
}

absl::Status NetlinkSocket::QueryOnce(
    Request& request, absl::FunctionRef<void(const nlmsghdr*)> each,
    bool* disturbed) {
  nlmsghdr* message = request.message();
  const bool dump = (message->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  const uint32_t sequence = ++sequence_;
  message->nlmsg_seq = sequence;
  // A get answers with the object and then this acknowledgement.
  if (!dump) message->nlmsg_flags |= NLM_F_ACK;
  RETURN_IF_ERROR_IN(Send(message, message->nlmsg_len), request.what());
  while (true) {
    ASSIGN_OR_RETURN_IN(const size_t got, Receive(0), request.what());
    int left = static_cast<int>(got);
    auto* answer = reinterpret_cast<nlmsghdr*>(buffer_.data());
    for (; nlmsg_ok(answer, left); answer = nlmsg_next(answer, &left)) {
      if (answer->nlmsg_seq != sequence) continue;
      if (answer->nlmsg_flags & NLM_F_DUMP_INTR) *disturbed = true;
      if (HoldsError(answer)) return ErrorOf(answer, request.what());
      if (answer->nlmsg_type == NLMSG_DONE) return absl::OkStatus();
      each(answer);
    }
  }
}

absl::Status NetlinkSocket::SendRaw(
    absl::string_view messages, const std::vector<std::string>& what,
    absl::FunctionRef<void(const nlmsghdr*)> each) {
  RETURN_IF_ERROR(Send(messages.data(), messages.size()));
  absl::Status result;
  while (true) {
    ASSIGN_OR_RETURN(const size_t got, Receive(MSG_DONTWAIT));
    if (got == 0) return result;
    int left = static_cast<int>(got);
    auto* answer = reinterpret_cast<nlmsghdr*>(buffer_.data());
    for (; nlmsg_ok(answer, left); answer = nlmsg_next(answer, &left)) {
      if (HoldsError(answer)) {
        const uint32_t step = answer->nlmsg_seq;
        base::Update(
            &result,
            ErrorOf(answer, step < what.size() ? what[step] : "netlink batch"));
      } else if (answer->nlmsg_type >= NLMSG_MIN_TYPE) {
        each(answer);
      }
    }
  }
}

}  // namespace warren::netplugin
