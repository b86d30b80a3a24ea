#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_HOST_SESSION_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_HOST_SESSION_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <atomic>
#include <optional>
#include <string>

#include "runtime/base/deadline.h"
#include "runtime/image/registry/authorizer.h"
#include "runtime/image/registry/credentials.h"
#include "runtime/image/registry/hosts_file.h"
#include "runtime/image/registry/transport.h"

// One host of a pull: requests for one repository, with authorization and
// redirects, tried once.
namespace warren::registry {

// What is asked for, below "<prefix>/<repository>".
struct HostRequest {
  HttpRequest::Method method = HttpRequest::Method::kGet;  // or kHead
  std::string path;  // "/manifests/latest", "/blobs/sha256:…"
  Headers headers;   // Accept, Range
};

// Receives the one answer that counts: a 2xx. Redirects, challenges and
// refusals do not get here.
class HostSink {
 public:
  virtual ~HostSink() = default;
  virtual absl::Status OnHead(const HttpHead& head) = 0;
  virtual absl::Status OnBody(absl::string_view bytes) = 0;
};

// Thread-safe.
class HostSession {
 public:
  // `registry` is the host part of the image's name: a mirror is told it as
  // "?ns=", as containerd does. `credentials` count only where the endpoint is
  // the registry itself (Endpoint::is_registry). `transport` is borrowed.
  HostSession(Endpoint endpoint, const std::string& registry,
              const std::string& repository, const Credentials& credentials,
              const HttpLimits& limits, Transport* transport);

  // Sends `request` and feeds the body of a 2xx to `sink`. Follows at most
  // kMaxRedirects redirects: elsewhere the request has neither Authorization
  // nor the headers of the configuration. A target that answers 401 with a
  // challenge for a token gets one that was fetched without credentials.
  // Errors: of the sink, of the deadline, of the transport, of AnswerError();
  // a target that refuses (a signed address that is too old) is transient. The
  // text names a target, not the host itself.
  absl::Status Send(const HostRequest& request, HostSink* sink,
                    const base::Deadline& deadline);

  const Endpoint& endpoint() const { return endpoint_; }
  // "host" or "host:port", for errors.
  std::string name() const { return endpoint_.url.HostAndPort(); }

 private:
  // The scheme that a host on loopback was found to speak.
  enum class Scheme { kUnknown, kHttps, kHttp };
  struct Hop;  // where a request stands

  HttpRequest Build(const HostRequest& request, const Hop& hop) const;
  absl::Status SendOnce(const HostRequest& request, Hop* hop, HostSink* sink,
                        const base::Deadline& deadline);
  absl::Status OnUnauthorized(const HttpHead& head, Hop* hop,
                              const base::Deadline& deadline);
  absl::Status Transmit(const HttpRequest& http, HttpSink* sink,
                        const base::Deadline& deadline);
  // The endpoint's address with the scheme that it speaks.
  Url Here() const;

  const Endpoint endpoint_;
  const std::string prefix_;  // of a target: "/v2/library/busybox"
  const std::string query_;   // "" or "?ns=…"
  const std::string scope_;
  const HttpLimits limits_;
  Transport* const transport_;
  Authorizer authorizer_;
  std::atomic<Scheme> scheme_;
};

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_HOST_SESSION_H_
