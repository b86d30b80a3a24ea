#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_CURL_EXCHANGE_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_CURL_EXCHANGE_H_

#include <absl/status/status.h>
#include <curl/curl.h>

#include <array>
#include <cstdint>
#include <string>

#include "runtime/base/deadline.h"
#include "runtime/image/registry/transport.h"

// One exchange on a pair of curl handles: sets the options, turns the crank,
// keeps the clocks and says what went wrong. Used by curl_transport.h alone.
namespace warren::registry {

// EXE-3: makes every descriptor of the process but stdio close-on-exec. All of
// Warren's are from birth; libcurl makes some that are not (how a multi handle
// and a look-up of a name are woken), right before this is called.
void MarkDescriptors();

// Single-threaded; lives for one request.
class CurlExchange {
 public:
  // All borrowed. `proxy` is empty for none; `origin` names the host in
  // errors.
  CurlExchange(const HttpRequest& request, const std::string& user_agent,
               const std::string& proxy, HttpSink* sink);
  ~CurlExchange();
  CurlExchange(const CurlExchange&) = delete;
  CurlExchange& operator=(const CurlExchange&) = delete;

  // Runs to the end. `easy` must be fresh or reset, and is in no multi handle
  // before and after.
  absl::Status Run(CURLM* multi, CURL* easy, const base::Deadline& deadline);

 private:
  static size_t HeaderCallback(char* data, size_t size, size_t count,
                               void* self);
  static size_t BodyCallback(char* data, size_t size, size_t count, void* self);

  void SetOptions(CURL* easy);
  void SetTls(CURL* easy) const;
  bool OnHeaderLine(absl::string_view line);
  bool OnBody(absl::string_view bytes);
  bool DeliverHead();
  absl::Status Crank(CURLM* multi, CURL* easy, const base::Deadline& deadline);
  // Time until a limit is reached; an error once one is.
  absl::StatusOr<absl::Duration> CheckLimits(CURL* easy);
  absl::Status Outcome(CURLcode code);

  const HttpRequest& request_;
  const std::string& user_agent_;
  const std::string& proxy_;
  const std::string url_;
  const std::string host_;
  HttpSink* const sink_;
  curl_slist* headers_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> error_text_{};

  HttpHead head_;
  size_t header_bytes_ = 0;
  bool head_delivered_ = false;
  absl::Status stopped_;  // why a callback ended the transfer

  // Monotonic nanoseconds.
  int64_t started_ = 0;
  int64_t connected_ = 0;   // 0: not yet
  int64_t span_start_ = 0;  // of the span that has to bring stall_bytes
  uint64_t span_bytes_ = 0;
};

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_CURL_EXCHANGE_H_
