#include "agent/cri/time_offset.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/string_view.h>

#include <algorithm>
#include <string>

#include "agent/cri/validate.h"

namespace warren::agent {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
// The kernel refuses clocks beyond KTIME_SEC_MAX / 2 = 4 611 686 018 s; the
// distance leaves the host's own uptime room to grow (115 days and more).
constexpr int64_t kMaxSeconds = 4'600'000'000;
constexpr size_t kFractionDigits = 9;

}  // namespace

absl::StatusOr<int64_t> ParseTimeOffset(absl::string_view field,
                                        absl::string_view text,
                                        int64_t clock_now_ns) {
  absl::string_view rest = text;
  const bool negative = !rest.empty() && rest[0] == '-';
  if (negative || (!rest.empty() && rest[0] == '+')) rest.remove_prefix(1);
  const size_t point = rest.find('.');
  const absl::string_view whole = rest.substr(0, point);
  const absl::string_view fraction =
      point == absl::string_view::npos ? "0" : rest.substr(point + 1);
  if (whole.empty() || fraction.empty() || !AllDigits(whole) ||
      !AllDigits(fraction) || fraction.size() > kFractionDigits) {
    return Invalid(
        field, absl::StrCat(Shown(text), " is not signed seconds with up to ",
                            kFractionDigits, " digits of fraction"));
  }
  int64_t seconds = 0;
  if (!absl::SimpleAtoi(whole, &seconds) || seconds > kMaxSeconds) {
    return Invalid(field, absl::StrCat(Shown(text), " is more than ",
                                       kMaxSeconds, " seconds"));
  }
  std::string padded(fraction);
  padded.resize(kFractionDigits, '0');
  int64_t nanoseconds = 0;
  if (!absl::SimpleAtoi(padded, &nanoseconds)) {
    return Invalid(field, "is not a number");
  }
  const int64_t magnitude = seconds * kSecond + nanoseconds;
  if (negative && magnitude > clock_now_ns) {
    return Invalid(
        field, absl::StrCat(Shown(text), " would put the clock before zero"));
  }
  return negative ? -magnitude : magnitude;
}

}  // namespace warren::agent
