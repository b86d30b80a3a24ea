#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_RETRY_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_RETRY_H_

#include <absl/status/status.h>
#include <absl/time/time.h>

#include <cstdint>
#include <random>

#include "runtime/base/deadline.h"

// When a request is sent again.
namespace warren::registry {

struct RetryLimits {
  int tries = 5;  // the first included
  absl::Duration first_wait = absl::Milliseconds(200);
  // Of a wait between two tries, and of a Retry-After that is honoured.
  absl::Duration longest_wait = absl::Seconds(30);
};

// The tries of one request at one host. Single-threaded.
class Retries {
 public:
  explicit Retries(const RetryLimits& limits);

  // After a try that failed with `failure`: waits and returns OK when there
  // shall be another one, else the error to report: `failure` itself, with a
  // word about a Retry-After that is too long, or that of the deadline. The
  // wait is first_wait, doubled each time, of which a random share between a
  // half and the whole; Retry-After when that is longer.
  absl::Status Wait(const absl::Status& failure,
                    const base::Deadline& deadline);

  // The last try brought this many bytes. Enough of them and the tries are
  // counted anew, and there is at least one more: a long download outlasts any
  // number of cuts.
  void Progress(uint64_t bytes);
  static constexpr uint64_t kEnoughBytes = 64 << 10;

 private:
  const RetryLimits limits_;
  int tried_ = 0;
  std::minstd_rand random_;
};

// Blocks for `time`: OK, or what the deadline says earlier.
absl::Status Pause(absl::Duration time, const base::Deadline& deadline);

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_RETRY_H_
