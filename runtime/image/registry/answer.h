#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_ANSWER_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_ANSWER_H_

#include <absl/status/status.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>

#include <optional>
#include <string>

#include "runtime/image/registry/transport.h"

// What an answer that is no success means, and how its body is kept small.
namespace warren::registry {

// How much of the body of an error is read, for the codes in it and so that
// the connection can be used again.
inline constexpr size_t kMaxErrorBodyBytes = 64 << 10;

// Keeps head and body. A body above `limit` ends the transfer with kDataLoss,
// or without an error when `only_the_start` counts. Single-threaded.
class CollectSink : public HttpSink {
 public:
  CollectSink(size_t limit, bool only_the_start)
      : limit_(limit), only_the_start_(only_the_start) {}

  absl::Status OnHead(const HttpHead& head) override;
  absl::Status OnBody(absl::string_view bytes) override;

  const HttpHead& head() const { return head_; }
  const std::string& body() const { return body_; }
  // True when a transfer was ended because there is enough.
  bool has_enough() const { return has_enough_; }

 private:
  const size_t limit_;
  const bool only_the_start_;
  HttpHead head_;
  std::string body_;
  bool has_enough_ = false;
};

// The Status of an answer that is no success: by its number, with the codes of
// the distribution specification that `body` names ("MANIFEST_UNKNOWN"). No
// other word of the body is repeated: it may hold anything, also what was sent
// to the server.
//   404, 410 kNotFound    401 kUnauthenticated    403, 451 kPermissionDenied
//   408, 425, 429, 5xx kUnavailable, may be tried again (IsTransient)
//   407 kUnavailable      all others kDataLoss
// Retry-After rides along.
absl::Status AnswerError(const HttpHead& head, absl::string_view body);

// The number that AnswerError() was given; 0 for any other status.
int HttpStatusOf(const absl::Status& status);

// Worth another try at the same host: a transient answer, or a transport that
// failed in a way that may pass.
bool IsTransient(const absl::Status& status);
absl::Status MarkTransient(absl::Status status);

// Retry-After of the answer behind `status`: seconds, or an HTTP date seen from
// now on. Negative times are none.
std::optional<absl::Duration> RetryAfterOf(const absl::Status& status);

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_ANSWER_H_
