#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_TESTING_HTTP_SERVER_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_TESTING_HTTP_SERVER_H_

#include <absl/base/thread_annotations.h>
#include <absl/strings/string_view.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/mutex.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/registry/testing/tls_identity.h"

// An HTTP/1.1 server on loopback whose every byte a test decides: it cuts,
// stalls, lies. Test only.
namespace warren::registry::testing {

struct ServerRequest {
  std::string method;
  std::string target;                          // path and query as they came
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  int connection = 0;  // number of the connection, from 1

  // "" when it is missing.
  std::string Get(const std::string& name) const;
  bool Has(const std::string& name) const { return headers.count(name) > 0; }
};

using ServerHeaders = std::vector<std::pair<std::string, std::string>>;

// The answer to one request, on the thread of its connection.
class Exchange {
 public:
  virtual ~Exchange() = default;
  // Raw bytes; false once the client has gone.
  virtual bool Write(absl::string_view bytes) = 0;
  // The connection ends after the handler: with FIN, or with RST.
  virtual void Close() = 0;
  virtual void Reset() = 0;
  // Blocks until the client or the server has gone.
  virtual void AwaitEnd() = 0;

  // A whole answer with its Content-Length. HEAD: without the body.
  void Respond(int status, const ServerHeaders& headers,
               absl::string_view body);
  // Status line and headers alone, with an end.
  void Head(int status, const ServerHeaders& headers);

  bool is_head = false;  // it answers a HEAD
};

// Thread-safe. Ends all connections with itself.
class HttpServer {
 public:
  // Called on many threads.
  using Handler = std::function<void(const ServerRequest&, Exchange*)>;

  // Plain http, or TLS with `identity`, which is borrowed. A server of plain
  // http that is spoken TLS to closes the connection.
  explicit HttpServer(Handler handler, const TlsIdentity* identity = nullptr);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  uint16_t port() const { return port_; }
  // "127.0.0.1:port"
  std::string host() const;
  // "http://127.0.0.1:port" or https.
  std::string url() const;

  // All so far.
  std::vector<ServerRequest> requests() const;
  int connections() const { return connections_; }

 private:
  class Connection;

  void Accept();
  void Serve(Connection* connection);

  const Handler handler_;
  const TlsIdentity* const identity_;
  base::UniqueFd listener_;
  uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> connections_{0};
  mutable base::Mutex mutex_;
  std::vector<ServerRequest> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Connection>> open_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  std::thread acceptor_;
};

}  // namespace warren::registry::testing

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_TESTING_HTTP_SERVER_H_
