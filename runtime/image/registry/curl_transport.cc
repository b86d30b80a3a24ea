#include "runtime/image/registry/curl_transport.h"

#include <curl/curl.h>

#include <algorithm>
#include <utility>

#include "runtime/image/registry/curl_exchange.h"

namespace warren::registry {
namespace {

// Connections that one idle handle keeps: a registry and where it redirects.
constexpr long kConnectionsPerHandle = 4;

// Once a process; thread-safe as static initialisation is.
bool InitCurl() {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return ready;
}

}  // namespace

// A multi handle with its connections, and the easy handle that runs on it.
class CurlTransport::Handle {
 public:
  Handle() : multi_(curl_multi_init()), easy_(curl_easy_init()) {
    MarkDescriptors();
    if (multi_ != nullptr) {
      curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS,
                        kConnectionsPerHandle);
    }
  }

  bool valid() const { return multi_ != nullptr && easy_ != nullptr; }
  CURLM* multi() const { return multi_.get(); }
  CURL* easy() const { return easy_.get(); }

  // What the last request spoke to.
  std::string origin;

 private:
  struct EasyCleanup {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
  };
  struct MultiCleanup {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
  };

  // The easy handle goes first.
  const std::unique_ptr<CURLM, MultiCleanup> multi_;
  const std::unique_ptr<CURL, EasyCleanup> easy_;
};

CurlTransport::CurlTransport(std::string user_agent, ProxySettings proxies)
    : user_agent_(std::move(user_agent)), proxies_(std::move(proxies)) {}

CurlTransport::~CurlTransport() = default;

std::unique_ptr<CurlTransport::Handle> CurlTransport::Take(
    const std::string& origin) {
  base::MutexLock lock(&mutex_);
  if (idle_.empty()) return nullptr;
  auto found = std::find_if(
      idle_.rbegin(), idle_.rend(),
      [&origin](const auto& handle) { return handle->origin == origin; });
  const auto position =
      found == idle_.rend() ? idle_.begin() : std::next(found).base();
  std::unique_ptr<Handle> handle = std::move(*position);
  idle_.erase(position);
  return handle;
}

void CurlTransport::Return(std::unique_ptr<Handle> handle) {
  std::unique_ptr<Handle> oldest;  // closed outside the lock
  base::MutexLock lock(&mutex_);
  idle_.push_back(std::move(handle));
  if (idle_.size() > kMaxIdle) {
    oldest = std::move(idle_.front());
    idle_.erase(idle_.begin());
  }
}

void CurlTransport::CloseIdle() {
  std::vector<std::unique_ptr<Handle>> idle;  // closed outside the lock
  base::MutexLock lock(&mutex_);
  idle.swap(idle_);
}

absl::Status CurlTransport::Send(const HttpRequest& request, HttpSink* sink,
                                 const base::Deadline& deadline) {
  if (!InitCurl()) return absl::InternalError("libcurl does not start");
  const std::string origin = request.url.Origin();
  std::unique_ptr<Handle> handle = Take(origin);
  if (handle == nullptr) handle = std::make_unique<Handle>();
  if (!handle->valid()) {
    return absl::ResourceExhaustedError("no memory for a transfer");
  }
  handle->origin = origin;
  absl::Status status;
  {
    CurlExchange exchange(request, user_agent_, proxies_.For(request.url),
                          sink);
    status = exchange.Run(handle->multi(), handle->easy(), deadline);
    // Before the exchange goes, to which the options point.
    curl_easy_reset(handle->easy());
  }
  Return(std::move(handle));
  return status;
}

}  // namespace warren::registry
