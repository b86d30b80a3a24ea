#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_TRANSPORT_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_TRANSPORT_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/deadline.h"
#include "runtime/image/registry/url.h"

// The seam of the registry client: one HTTP request, one answer. The real one
// is curl_transport.h; unit tests script a fake.
namespace warren::registry {

// In the order of the wire; a name may occur more than once.
using Headers = std::vector<std::pair<std::string, std::string>>;

// How long one request may take without an end of its own: a transfer that
// moves may take as long as it needs.
struct HttpLimits {
  absl::Duration connect = absl::Seconds(30);  // name, TCP, TLS
  absl::Duration header = absl::Seconds(30);   // from there to the answer
  // While bytes of an open body are awaited, each such span has to bring
  // `stall_bytes` of them, or the rest. The time that a sink takes does not
  // count.
  absl::Duration stall = absl::Seconds(60);
  uint64_t stall_bytes = 16 << 10;
};

// Bounds on what a server may send in front of a body (IMG-3).
inline constexpr size_t kMaxHeaderBytes = 64 << 10;
inline constexpr size_t kMaxHeaders = 256;

// How a server proves itself and how we do. Plain data.
struct TlsSettings {
  std::string ca_pem;       // further roots beside the system's
  std::string client_cert;  // path of a PEM file; empty: none
  std::string client_key;   // path; empty: in client_cert
  bool skip_verify = false;
  bool operator==(const TlsSettings&) const = default;
};

struct HttpRequest {
  enum class Method { kGet, kHead, kPost };
  Method method = Method::kGet;
  Url url;
  Headers headers;
  std::string body;  // of kPost
  TlsSettings tls;
  HttpLimits limits;
};

// Status line and headers of an answer. Names are as sent.
struct HttpHead {
  int status = 0;  // 200…599
  Headers headers;

  // The first header of that name, in any case; nullptr when there is none.
  const std::string* Find(absl::string_view name) const;
  // All of them.
  std::vector<std::string> FindAll(absl::string_view name) const;
};

// Receives an answer, on the thread that sent the request.
class HttpSink {
 public:
  virtual ~HttpSink() = default;
  // Once, before the body. An error ends the transfer and is handed on.
  virtual absl::Status OnHead(const HttpHead& head) = 0;
  virtual absl::Status OnBody(absl::string_view bytes) = 0;
};

// Why a request got no answer, or only a part of one. Rides along on a status
// of Transport::Send that is kUnavailable.
enum class TransportFailure {
  kNone,      // it is another kind of error
  kResolve,   // no such host name
  kConnect,   // refused, unreachable, timed out
  kTls,       // the certificate, or the handshake
  kNotTls,    // https was spoken to a server of plain http
  kProxy,     // the proxy refused
  kNoAnswer,  // connected, then silence or an end before the headers
  kCut,       // the body ended early
  kStalled,   // the body went on too slowly
  kProtocol,  // what came is no HTTP, or beyond a bound
};
absl::Status TransportError(TransportFailure failure, absl::string_view text);
TransportFailure FailureOf(const absl::Status& status);

// Thread-safe.
class Transport {
 public:
  virtual ~Transport() = default;

  // Sends `request` and feeds its final answer (no 1xx) to `sink`; OK once the
  // body has ended as its framing says. Follows no redirect, answers no
  // challenge, tries once. Errors: of the sink, of the deadline, or a
  // TransportError whose text names neither path nor query nor header.
  virtual absl::Status Send(const HttpRequest& request, HttpSink* sink,
                            const base::Deadline& deadline) = 0;

  // Closes the connections that no request uses now.
  virtual void CloseIdle() = 0;
};

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_TRANSPORT_H_
