#include "runtime/image/registry/curl_exchange.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <linux/close_range.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <stop_token>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/base/status.h"

namespace warren::registry {
namespace {

constexpr size_t kMaxErrorBytes = 200;
constexpr long kReceiveBuffer = 256 << 10;
constexpr char kSystemRoots[] = "/etc/ssl/certs";

int64_t Monotonic() { return base::SystemClock().MonotonicNow(); }

// EXE-3: libcurl would open it without close-on-exec.
curl_socket_t OpenSocket(void* /*unused*/, curlsocktype /*purpose*/,
                         curl_sockaddr* address) {
  return socket(address->family, address->socktype | SOCK_CLOEXEC,
                address->protocol);
}

// Printable, short.
std::string Clean(absl::string_view text) {
  std::string result(text.substr(0, kMaxErrorBytes));
  std::replace_if(
      result.begin(), result.end(), [](char c) { return c < ' ' || c >= 0x7f; },
      ' ');
  return result;
}

TransportFailure BeforeHead(CURLcode code, const std::string& text) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return TransportFailure::kResolve;
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
      return TransportFailure::kConnect;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PROXY:
      return TransportFailure::kProxy;
    case CURLE_SSL_CONNECT_ERROR:
      // An alert is TLS, anything else that ends a handshake is not.
      return absl::StrContains(text, "alert") ? TransportFailure::kTls
                                              : TransportFailure::kNotTls;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_INITFAILED:
      return TransportFailure::kTls;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_PARTIAL_FILE:
      return TransportFailure::kNoAnswer;
    default:
      return TransportFailure::kProtocol;
  }
}

TransportFailure AfterHead(CURLcode code) {
  switch (code) {
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_PARTIAL_FILE:
      return TransportFailure::kCut;
    default:
      return TransportFailure::kProtocol;
  }
}

}  // namespace

void MarkDescriptors() {
  close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
}

CurlExchange::CurlExchange(const HttpRequest& request,
                           const std::string& user_agent,
                           const std::string& proxy, HttpSink* sink)
    : request_(request),
      user_agent_(user_agent),
      proxy_(proxy),
      url_(request.url.ToString()),
      host_(request.url.HostAndPort()),
      sink_(sink) {}

CurlExchange::~CurlExchange() { curl_slist_free_all(headers_); }

void CurlExchange::SetTls(CURL* easy) const {
  const TlsSettings& tls = request_.tls;
  curl_easy_setopt(easy, CURLOPT_CAPATH, kSystemRoots);
  if (!tls.ca_pem.empty()) {
    curl_blob blob{const_cast<char*>(tls.ca_pem.data()), tls.ca_pem.size(),
                   CURL_BLOB_COPY};
    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
  }
  if (!tls.client_cert.empty()) {
    const std::string& key =
        tls.client_key.empty() ? tls.client_cert : tls.client_key;
    curl_easy_setopt(easy, CURLOPT_SSLCERT, tls.client_cert.c_str());
    curl_easy_setopt(easy, CURLOPT_SSLKEY, key.c_str());
  }
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, tls.skip_verify ? 0L : 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, tls.skip_verify ? 0L : 2L);
}

void CurlExchange::SetOptions(CURL* easy) {
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  // A name server that is silent does not hold a request that has ended.
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, OpenSocket);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kReceiveBuffer);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                   static_cast<long>(CURL_HTTP_VERSION_2TLS));
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(
      easy, CURLOPT_CONNECTTIMEOUT_MS,
      static_cast<long>(absl::ToInt64Milliseconds(request_.limits.connect)));
  // Empty switches off what libcurl would find in the environment.
  curl_easy_setopt(easy, CURLOPT_PROXY, proxy_.c_str());
  curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
  curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent_.c_str());
  curl_easy_setopt(easy, CURLOPT_URL, url_.c_str());
  SetTls(easy);

  for (const auto& header : request_.headers) {
    headers_ = curl_slist_append(
        headers_, absl::StrCat(header.first, ": ", header.second).c_str());
  }
  headers_ = curl_slist_append(headers_, "Expect:");
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers_);
  if (request_.method == HttpRequest::Method::kHead) {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (request_.method == HttpRequest::Method::kPost) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request_.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request_.body.c_str());
  }

  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_text_.data());
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, HeaderCallback);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, BodyCallback);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
}

size_t CurlExchange::HeaderCallback(char* data, size_t size, size_t count,
                                    void* self) {
  auto* const exchange = static_cast<CurlExchange*>(self);
  const size_t bytes = size * count;
  return exchange->OnHeaderLine(absl::string_view(data, bytes)) ? bytes
                                                                : bytes + 1;
}

size_t CurlExchange::BodyCallback(char* data, size_t size, size_t count,
                                  void* self) {
  auto* const exchange = static_cast<CurlExchange*>(self);
  const size_t bytes = size * count;
  return exchange->OnBody(absl::string_view(data, bytes)) ? bytes : bytes + 1;
}

bool CurlExchange::OnHeaderLine(absl::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > kMaxHeaderBytes || head_.headers.size() == kMaxHeaders) {
    stopped_ = TransportError(TransportFailure::kProtocol,
                              "sends too many or too long headers");
    return false;
  }
  if (head_delivered_) return true;  // a trailer
  const bool folded = !line.empty() && (line[0] == ' ' || line[0] == '\t');
  line = absl::StripAsciiWhitespace(line);
  if (absl::StartsWith(line, "HTTP/")) {  // after an interim answer: anew
    head_ = HttpHead();
    const size_t blank = std::min(line.find(' '), line.size());
    if (!absl::SimpleAtoi(line.substr(blank).substr(0, 4), &head_.status)) {
      head_.status = 0;
    }
    return true;
  }
  if (line.empty()) return head_.status < 200 || DeliverHead();
  const size_t colon = line.find(':');
  if (folded && !head_.headers.empty()) {
    absl::StrAppend(&head_.headers.back().second, " ", line);
  } else if (colon != absl::string_view::npos) {
    head_.headers.emplace_back(
        std::string(absl::StripAsciiWhitespace(line.substr(0, colon))),
        std::string(absl::StripAsciiWhitespace(line.substr(colon + 1))));
  }
  return true;
}

bool CurlExchange::DeliverHead() {
  head_delivered_ = true;
  stopped_ = sink_->OnHead(head_);
  span_start_ = Monotonic();
  return stopped_.ok();
}

bool CurlExchange::OnBody(absl::string_view bytes) {
  if (bytes.empty()) return true;
  span_bytes_ += bytes.size();
  const int64_t before = Monotonic();
  stopped_ = sink_->OnBody(bytes);
  span_start_ += Monotonic() - before;
  return stopped_.ok();
}

absl::StatusOr<absl::Duration> CurlExchange::CheckLimits(CURL* easy) {
  const HttpLimits& limits = request_.limits;
  const int64_t now = Monotonic();
  if (connected_ == 0) {
    curl_off_t microseconds = 0;
    curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &microseconds);
    if (microseconds > 0) connected_ = now;
  }
  const auto left = [now](int64_t since, absl::Duration limit) {
    return limit - absl::Nanoseconds(now - since);
  };
  if (connected_ == 0) {
    const absl::Duration rest = left(started_, limits.connect);
    if (rest > absl::ZeroDuration()) return rest;
    return TransportError(TransportFailure::kConnect,
                          absl::StrCat("no connection within ",
                                       absl::FormatDuration(limits.connect)));
  }
  if (!head_delivered_) {
    const absl::Duration rest = left(connected_, limits.header);
    if (rest > absl::ZeroDuration()) return rest;
    return TransportError(TransportFailure::kNoAnswer,
                          absl::StrCat("connected, but no answer within ",
                                       absl::FormatDuration(limits.header)));
  }
  if (left(span_start_, limits.stall) > absl::ZeroDuration()) {
    return left(span_start_, limits.stall);
  }
  if (span_bytes_ < limits.stall_bytes) {
    return TransportError(TransportFailure::kStalled,
                          absl::StrCat("stalled: ", span_bytes_, " bytes in ",
                                       absl::FormatDuration(limits.stall)));
  }
  span_start_ = now;
  span_bytes_ = 0;
  return limits.stall;
}

absl::Status CurlExchange::Outcome(CURLcode code) {
  if (!stopped_.ok()) return stopped_;
  if (code == CURLE_OK) {
    if (head_delivered_) return absl::OkStatus();
    return TransportError(TransportFailure::kProtocol, "answers no HTTP");
  }
  if (code == CURLE_OUT_OF_MEMORY) {
    return absl::ResourceExhaustedError("no memory for a transfer");
  }
  std::string text(error_text_.data());
  // libcurl repeats a proxy that it cannot parse, with its password.
  const bool repeats =
      !proxy_.empty() &&
      (code == CURLE_COULDNT_RESOLVE_PROXY || absl::StrContains(text, proxy_));
  if (text.empty() || repeats) text = curl_easy_strerror(code);
  TransportFailure failure =
      head_delivered_ ? AfterHead(code) : BeforeHead(code, text);
  if (!proxy_.empty() && connected_ == 0 &&
      failure == TransportFailure::kNoAnswer) {
    failure = TransportFailure::kProxy;
  }
  return TransportError(failure, Clean(text));
}

absl::Status CurlExchange::Crank(CURLM* multi, CURL* easy,
                                 const base::Deadline& deadline) {
  const std::stop_callback<std::function<void()>> wake(
      deadline.stop(), [multi] { curl_multi_wakeup(multi); });
  while (true) {
    int running = 0;
    if (const CURLMcode code = curl_multi_perform(multi, &running);
        code != CURLM_OK) {
      return absl::InternalError(
          absl::StrCat("libcurl: ", curl_multi_strerror(code)));
    }
    if (connected_ == 0) MarkDescriptors();
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
      if (message->msg == CURLMSG_DONE) return Outcome(message->data.result);
    }
    RETURN_IF_ERROR(deadline.Check());
    ASSIGN_OR_RETURN(const absl::Duration rest, CheckLimits(easy));
    const int wait = deadline.Within(rest).PollMilliseconds();
    if (const CURLMcode code =
            curl_multi_poll(multi, nullptr, 0, wait, nullptr);
        code != CURLM_OK) {
      return absl::InternalError(
          absl::StrCat("libcurl: ", curl_multi_strerror(code)));
    }
  }
}

absl::Status CurlExchange::Run(CURLM* multi, CURL* easy,
                               const base::Deadline& deadline) {
  RETURN_IF_ERROR(deadline.Check());
  SetOptions(easy);
  started_ = Monotonic();
  if (const CURLMcode code = curl_multi_add_handle(multi, easy);
      code != CURLM_OK) {
    return absl::InternalError(
        absl::StrCat("libcurl: ", curl_multi_strerror(code)));
  }
  const absl::Status status = Crank(multi, easy, deadline);
  curl_multi_remove_handle(multi, easy);
  return status;
}

}  // namespace warren::registry
