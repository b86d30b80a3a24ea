#include "tests/support/patience.h"

#include <absl/strings/numbers.h>
#include <absl/time/clock.h>

#include <algorithm>
#include <cstdlib>

#include "runtime/base/deadline.h"

namespace warren::test {
namespace {

constexpr absl::Duration kPollEvery = absl::Milliseconds(20);
constexpr int kUsualSlowness = 4;

}  // namespace

absl::Duration Patience(absl::Duration patience) {
  const char* slowness = std::getenv("WARREN_TEST_SLOWNESS");
  int factor = 0;
  if (slowness == nullptr || !absl::SimpleAtoi(slowness, &factor)) {
    factor = kUsualSlowness;
  }
  return patience * std::max(factor, 1);
}

bool Eventually(const std::function<bool()>& done, absl::Duration patience) {
  const auto deadline = base::Deadline::After(Patience(patience));
  while (!done()) {
    if (deadline.Remaining() == absl::ZeroDuration()) return done();
    absl::SleepFor(kPollEvery);
  }
  return true;
}

}  // namespace warren::test
