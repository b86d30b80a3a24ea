#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_CURL_TRANSPORT_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_CURL_TRANSPORT_H_

#include <absl/base/thread_annotations.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/base/mutex.h"
#include "runtime/image/registry/proxy.h"
#include "runtime/image/registry/transport.h"

// Transport over libcurl: HTTP/1.1, and HTTP/2 where TLS negotiates it.
//
// A request runs on the thread of its caller, on a multi handle of its own,
// which keeps the connections that it opened. Idle handles wait in a pool: the
// one that last spoke to the same origin is taken, so that its connection is
// used again. A stop request wakes the thread out of curl_multi_poll(3).
//
// What libcurl may not do here: use signals (threads), read ~/.netrc, speak
// anything but http and https, follow redirects, answer challenges, unpack a
// content encoding (the digest is of the bytes as stored), find a proxy by
// itself (proxy.h does), change the path of an address.
namespace warren::registry {

// Thread-safe. Opens at most as many connections as requests run at once, and
// keeps at most kMaxIdle of them.
class CurlTransport : public Transport {
 public:
  // `user_agent` goes with each request.
  CurlTransport(std::string user_agent, ProxySettings proxies);
  ~CurlTransport() override;  // no request may run any more

  absl::Status Send(const HttpRequest& request, HttpSink* sink,
                    const base::Deadline& deadline) override;
  void CloseIdle() override;

  static constexpr size_t kMaxIdle = 16;

 private:
  class Handle;

  std::unique_ptr<Handle> Take(const std::string& origin);
  void Return(std::unique_ptr<Handle> handle);

  const std::string user_agent_;
  const ProxySettings proxies_;
  base::Mutex mutex_;
  // The one used last is at the end.
  std::vector<std::unique_ptr<Handle>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_CURL_TRANSPORT_H_
