#include "runtime/base/clock.h"

#include <time.h>

namespace warren::base {
namespace {

int64_t Read(clockid_t id) {
  timespec ts = {};
  clock_gettime(id, &ts);
  return ts.tv_sec * int64_t{1'000'000'000} + ts.tv_nsec;
}

class RealClock : public Clock {
 public:
  int64_t RealNow() const override { return Read(CLOCK_REALTIME); }
  int64_t MonotonicNow() const override { return Read(CLOCK_MONOTONIC); }
};

}  // namespace

const Clock& SystemClock() {
  static const RealClock* const kClock = new RealClock;
  return *kClock;
}

}  // namespace warren::base
