#include "runtime/image/registry/answer.h"

#include <absl/strings/cord.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/status.h"
#include "runtime/image/json.h"

namespace warren::registry {
namespace {

constexpr char kTransientPayload[] = "warren/transient";
constexpr char kHttpStatusPayload[] = "warren/http-status";
constexpr char kRetryAfterPayload[] = "warren/retry-after";

// Distribution specification 1.1, "Error codes", and what registries add.
constexpr std::array<absl::string_view, 17> kCodes = {
    "BLOB_UNKNOWN",     "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN",
    "DENIED",           "DIGEST_INVALID",      "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID", "MANIFEST_UNKNOWN",    "MANIFEST_UNVERIFIED",
    "NAME_INVALID",     "NAME_UNKNOWN",        "SIZE_INVALID",
    "TAG_INVALID",      "TOOMANYREQUESTS",     "UNAUTHORIZED",
    "UNAVAILABLE",      "UNSUPPORTED"};

// Codes of {"errors": [{"code": …}]} that are known, each once.
std::vector<std::string> KnownCodes(absl::string_view body) {
  std::vector<std::string> found;
  const auto document = image::ParseJsonObject(body);
  const image::Json* const errors =
      document.ok() ? image::FindKey(*document, "errors") : nullptr;
  if (errors == nullptr || !errors->is_array()) return found;
  for (const image::Json& error : *errors) {
    const auto code = image::OptionalString(error, "code");
    if (code.ok() &&
        std::find(kCodes.begin(), kCodes.end(), *code) != kCodes.end() &&
        std::find(found.begin(), found.end(), *code) == found.end()) {
      found.push_back(*code);
    }
  }
  return found;
}

absl::StatusCode CodeOf(int status) {
  switch (status) {
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
    case 451:
      return absl::StatusCode::kPermissionDenied;
    case 404:
    case 410:
      return absl::StatusCode::kNotFound;
    case 407:
    case 408:
    case 425:
    case 429:
      return absl::StatusCode::kUnavailable;
    default:
      return status >= 500 ? absl::StatusCode::kUnavailable
                           : absl::StatusCode::kDataLoss;
  }
}

// Seconds, or a date (RFC 9110, 10.2.3).
std::optional<int64_t> RetryAfterSeconds(const HttpHead& head) {
  const std::string* const value = head.Find("Retry-After");
  if (value == nullptr) return std::nullopt;
  int64_t seconds = 0;
  if (!absl::SimpleAtoi(*value, &seconds)) {
    const time_t at = curl_getdate(value->c_str(), nullptr);
    if (at < 0) return std::nullopt;
    seconds = at - base::SystemClock().RealNow() / 1'000'000'000;
  }
  return std::max<int64_t>(seconds, 0);
}

// A number that rides along; nullopt when there is none.
std::optional<int64_t> Number(const absl::Status& status, const char* payload) {
  const auto text = status.GetPayload(payload);
  int64_t number = 0;
  if (!text || !absl::SimpleAtoi(std::string(*text), &number)) {
    return std::nullopt;
  }
  return number;
}

}  // namespace

absl::Status CollectSink::OnHead(const HttpHead& head) {
  head_ = head;
  return absl::OkStatus();
}

absl::Status CollectSink::OnBody(absl::string_view bytes) {
  const size_t room = limit_ - body_.size();
  body_.append(bytes.data(), std::min(room, bytes.size()));
  if (bytes.size() <= room) return absl::OkStatus();
  has_enough_ = only_the_start_;
  return absl::DataLossError(
      absl::StrCat("sends more than ", limit_, " bytes"));
}

absl::Status AnswerError(const HttpHead& head, absl::string_view body) {
  std::string text = absl::StrCat("HTTP ", head.status);
  if (const auto codes = KnownCodes(body); !codes.empty()) {
    absl::StrAppend(&text, " (", absl::StrJoin(codes, ", "), ")");
  }
  if (head.status == 407) text = "the proxy wants other credentials (HTTP 407)";
  const absl::StatusCode code = CodeOf(head.status);
  absl::Status status(code, text);
  status.SetPayload(kHttpStatusPayload, absl::Cord(absl::StrCat(head.status)));
  if (code == absl::StatusCode::kUnavailable && head.status != 407 &&
      head.status != 501 && head.status != 505) {
    status.SetPayload(kTransientPayload, absl::Cord());
  }
  if (const auto seconds = RetryAfterSeconds(head)) {
    status.SetPayload(kRetryAfterPayload, absl::Cord(absl::StrCat(*seconds)));
  }
  return status;
}

int HttpStatusOf(const absl::Status& status) {
  return static_cast<int>(Number(status, kHttpStatusPayload).value_or(0));
}

absl::Status MarkTransient(absl::Status status) {
  status.SetPayload(kTransientPayload, absl::Cord());
  return status;
}

bool IsTransient(const absl::Status& status) {
  if (status.GetPayload(kTransientPayload)) return true;
  switch (FailureOf(status)) {
    case TransportFailure::kResolve:
    case TransportFailure::kConnect:
    case TransportFailure::kNotTls:
    case TransportFailure::kNoAnswer:
    case TransportFailure::kCut:
    case TransportFailure::kStalled:
      return true;
    case TransportFailure::kNone:
    case TransportFailure::kTls:
    case TransportFailure::kProxy:
    case TransportFailure::kProtocol:
      return false;
  }
  return false;
}

std::optional<absl::Duration> RetryAfterOf(const absl::Status& status) {
  const auto seconds = Number(status, kRetryAfterPayload);
  if (!seconds) return std::nullopt;
  return absl::Seconds(*seconds);
}

}  // namespace warren::registry
