#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_TESTING_FAKE_TRANSPORT_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_TESTING_FAKE_TRANSPORT_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/image/registry/transport.h"

// A transport that answers from a script. Test only.
namespace warren::registry::testing {

struct FakeAnswer {
  int status = 200;
  Headers headers;
  std::string body;
};

// Single-threaded.
class FakeTransport : public Transport {
 public:
  void CloseIdle() override {}
  // `script` is asked for each request, in order.
  using Script = std::function<absl::StatusOr<FakeAnswer>(const HttpRequest&)>;
  explicit FakeTransport(Script script) : script_(std::move(script)) {}

  absl::Status Send(const HttpRequest& request, HttpSink* sink,
                    const base::Deadline& deadline) override {
    RETURN_IF_ERROR(deadline.Check());
    requests.push_back(request);
    ASSIGN_OR_RETURN(const FakeAnswer answer, script_(request));
    RETURN_IF_ERROR(sink->OnHead({answer.status, answer.headers}));
    if (answer.body.empty()) return absl::OkStatus();
    return sink->OnBody(answer.body);
  }

  // All so far.
  std::vector<HttpRequest> requests;

 private:
  const Script script_;
};

// The value of a header of `request`; "" when it is missing.
inline std::string HeaderOf(const HttpRequest& request,
                            const std::string& name) {
  for (const auto& header : request.headers) {
    if (header.first == name) return header.second;
  }
  return "";
}

}  // namespace warren::registry::testing

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_TESTING_FAKE_TRANSPORT_H_
