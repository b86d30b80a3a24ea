#ifndef WARREN_NETPLUGIN_NETLINK_NETLINK_H_
#define WARREN_NETPLUGIN_NETLINK_NETLINK_H_

#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct nl_msg;
struct nl_sock;
struct nlattr;

// Netlink requests and sockets on libnl's message builder and socket. Every
// length is the library's: an attribute or message that does not fit is an
// error of the request, never a wrapped 16-bit length (NET-3).
namespace warren::netplugin {

// Attributes of a reply by type; those not sent are nullptr. Borrowed from the
// buffer of the reply.
class Attributes {
 public:
  // Of the message behind a family header of `header_size` bytes.
  Attributes(const nlmsghdr* message, size_t header_size, int max_type);
  // Nested in `outer`, which may be nullptr.
  Attributes(const nlattr* outer, int max_type);

  bool Has(int type) const { return Find(type) != nullptr; }
  const nlattr* Find(int type) const;
  uint32_t U32(int type, uint32_t missing = 0) const;
  std::string String(int type) const;  // up to the NUL
  absl::string_view Bytes(int type) const;

 private:
  std::vector<nlattr*> table_;
};

// One request under construction. Errors of building are kept and come out of
// NetlinkSocket. Thread-compatible, movable.
class Request {
 public:
  // `what` names the step in error messages: "adding address 10.1.2.3/16".
  // `header` is the fixed header of the message type, such as ifinfomsg.
  template <typename Header>
  Request(std::string what, uint16_t type, uint16_t flags, const Header& header)
      : Request(std::move(what), type, flags, &header, sizeof(header)) {}
  Request(Request&&) noexcept;
  Request& operator=(Request&&) noexcept;
  ~Request();

  Request& Bytes(int type, const void* data, size_t size);
  Request& U8(int type, uint8_t value);
  Request& U32(int type, uint32_t value);
  Request& String(int type, absl::string_view value);  // NUL added
  // An attribute that holds what `fill` adds.
  Request& Nest(int type, absl::FunctionRef<void()> fill);
  // A fixed structure inside a Nest.
  template <typename Struct>
  Request& Raw(const Struct& value) {
    return Append(&value, sizeof(value));
  }

  const std::string& what() const { return what_; }
  const absl::Status& status() const { return status_; }
  nlmsghdr* message();

 private:
  struct Deleter {
    void operator()(nl_msg* message) const;
  };

  Request(std::string what, uint16_t type, uint16_t flags, const void* header,
          size_t size);
  Request& Append(const void* data, size_t size);
  void Latch(bool ok);

  std::string what_;
  absl::Status status_;
  std::unique_ptr<nl_msg, Deleter> message_;
};

// A netlink socket. It belongs to the network namespace of the thread that
// opened it and keeps working on that one from any other. Blocks only inside
// the kernel's own work. Errors carry errno (base::GetErrno) and the kernel's
// extended text. Thread-compatible, movable.
class NetlinkSocket {
 public:
  // `protocol`: NETLINK_ROUTE or NETLINK_NETFILTER.
  static absl::StatusOr<NetlinkSocket> Open(int protocol);
  NetlinkSocket(NetlinkSocket&&) noexcept;
  NetlinkSocket& operator=(NetlinkSocket&&) noexcept;
  ~NetlinkSocket();

  // Sends all requests in one system call; the kernel does them in order and
  // goes on after a failed one. Returns the first error, named by its `what`.
  absl::Status Execute(std::vector<Request> requests);
  absl::Status Execute(Request request);

  // Sends one request and hands over each message of the answer: the object of
  // a plain get, all objects with NLM_F_DUMP. A dump that another change
  // disturbed is repeated from the start after `restart`.
  absl::Status Query(Request request,
                     absl::FunctionRef<void(const nlmsghdr*)> each,
                     absl::FunctionRef<void()> restart);

  // Sends ready-made messages numbered from 0 and returns the first error that
  // the kernel answers, named by `what` of that number; `each` sees every other
  // message of the answer. For the protocols whose answers wait in the socket
  // when send returns.
  absl::Status SendRaw(absl::string_view messages,
                       const std::vector<std::string>& what,
                       absl::FunctionRef<void(const nlmsghdr*)> each);

 private:
  struct Deleter {
    void operator()(nl_sock* socket) const;
  };

  NetlinkSocket() = default;
  absl::Status Send(const void* data, size_t size);
  absl::StatusOr<size_t> Receive(int flags);
  absl::Status QueryOnce(Request& request,
                         absl::FunctionRef<void(const nlmsghdr*)> each,
                         bool* disturbed);

  std::unique_ptr<nl_sock, Deleter> socket_;
  std::vector<char> buffer_;
  uint32_t sequence_ = 0;
};

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_NETLINK_NETLINK_H_
