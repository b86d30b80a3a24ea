#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_HOST_FAILURES_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_HOST_FAILURES_H_

#include <absl/status/status.h>
#include <absl/strings/string_view.h>

#include <string>
#include <vector>

// What the hosts of one request answered.
namespace warren::registry {

// Single-threaded.
class HostFailures {
 public:
  void Add(const std::string& host, const absl::Status& failure);

  // "host: reason", in order.
  const std::vector<std::string>& lines() const { return lines_; }
  // One error of all of them, "what: host: reason; host: reason". The code is
  // that of the last; kUnavailable when there is none.
  absl::Status Combine(absl::string_view what) const;

 private:
  std::vector<std::string> lines_;
  absl::StatusCode code_ = absl::StatusCode::kUnavailable;
};

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_HOST_FAILURES_H_
