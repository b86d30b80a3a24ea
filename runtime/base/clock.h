#ifndef WARREN_RUNTIME_BASE_CLOCK_H_
#define WARREN_RUNTIME_BASE_CLOCK_H_

#include <cstdint>

namespace warren::base {

// The clock seam: stamps come from RealNow, every wait and age from
// MonotonicNow, so that a jump of the wall clock changes no time-out (REL-23).
// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // CLOCK_REALTIME, nanoseconds since the epoch.
  virtual int64_t RealNow() const = 0;
  // CLOCK_MONOTONIC, nanoseconds since an arbitrary start.
  virtual int64_t MonotonicNow() const = 0;
};

// The system's clock; never destroyed.
const Clock& SystemClock();

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_CLOCK_H_
