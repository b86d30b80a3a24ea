#ifndef WARREN_TESTS_FAKES_FAKE_CLOCK_H_
#define WARREN_TESTS_FAKES_FAKE_CLOCK_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

#include "runtime/base/clock.h"

namespace warren::test {

// Stands still until told; wall and monotonic clock can be moved apart.
// Thread-safe.
class FakeClock : public base::Clock {
 public:
  int64_t RealNow() const override {
    return 1'700'000'000'000'000'000 + wall_jump_ + monotonic_;
  }
  int64_t MonotonicNow() const override { return monotonic_; }

  void Advance(int64_t nanoseconds) {
    monotonic_ += nanoseconds;
    if (advanced_) advanced_();
  }
  // Called after each Advance(), say to wake who waits for this clock. Set
  // before other threads use the clock.
  void OnAdvance(std::function<void()> advanced) {
    advanced_ = std::move(advanced);
  }
  void JumpWallClock(int64_t nanoseconds) { wall_jump_ += nanoseconds; }

 private:
  std::atomic<int64_t> monotonic_{1'000'000'000'000};
  std::atomic<int64_t> wall_jump_{0};
  std::function<void()> advanced_;
};

}  // namespace warren::test

#endif  // WARREN_TESTS_FAKES_FAKE_CLOCK_H_
