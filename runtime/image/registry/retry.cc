#include "runtime/image/registry/retry.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>

#include "runtime/base/mutex.h"
#include "runtime/base/status.h"
#include "runtime/image/registry/answer.h"

namespace warren::registry {

Retries::Retries(const RetryLimits& limits)
    : limits_(limits), random_(std::random_device()()) {}

void Retries::Progress(uint64_t bytes) {
  // Where there is one try only, what moves may still have another.
  if (bytes >= kEnoughBytes) tried_ = std::min(0, limits_.tries - 2);
}

absl::Status Retries::Wait(const absl::Status& failure,
                           const base::Deadline& deadline) {
  RETURN_IF_ERROR(deadline.Check());
  ++tried_;
  if (!IsTransient(failure)) return failure;
  const std::optional<absl::Duration> asked = RetryAfterOf(failure);
  if (asked && *asked > limits_.longest_wait) {
    absl::Status status(
        failure.code(),
        absl::StrCat(failure.message(), ", asks to come back in ",
                     absl::ToInt64Seconds(*asked), " s"));
    return status;
  }
  if (tried_ >= limits_.tries) return failure;
  const int doublings = std::clamp(tried_ - 1, 0, 20);
  const absl::Duration whole = std::min(
      limits_.first_wait * (int64_t{1} << doublings), limits_.longest_wait);
  const double share = std::uniform_real_distribution<>(0.5, 1.0)(random_);
  return Pause(std::max(whole * share, asked.value_or(absl::ZeroDuration())),
               deadline);
}

absl::Status Pause(absl::Duration time, const base::Deadline& deadline) {
  const base::Deadline end = base::Deadline::After(time);
  base::Mutex mutex;
  base::Condition never;
  base::MutexLock lock(&mutex);
  while (end.Remaining() > absl::ZeroDuration()) {
    RETURN_IF_ERROR(deadline.Check());
    never.Wait(&mutex, deadline.Within(end.Remaining()));
  }
  return absl::OkStatus();
}

}  // namespace warren::registry
