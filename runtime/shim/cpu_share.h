#ifndef WARREN_RUNTIME_SHIM_CPU_SHARE_H_
#define WARREN_RUNTIME_SHIM_CPU_SHARE_H_

#include <cstdint>

namespace warren::shim {

// The share of one processor that copying output may have: a bucket of
// processor time. It fills with the time that passes, and what the process has
// used is taken out of it (unless it is forgiven). While it is empty the
// output is left in the pipe, so that the container waits and nothing is lost
// (REL-14).
//
// Bounds what a container can make its shim do, which is outside the
// container's own cgroup. Reads no clock. Thread-compatible.
class CpuShare {
 public:
  // What may be used at once after a silence: a burst of output is not held up.
  static constexpr int64_t kBurstNs = 50'000'000;
  // An empty bucket is one until that much is in it again: then a whole pipe is
  // read at once, which costs less for each byte than many small reads.
  static constexpr int64_t kResumeNs = 5'000'000;

  // Percent of one processor; 0, and 100 and more, is no limit: one thread has
  // no more than a processor.
  explicit CpuShare(uint32_t percent) : percent_(percent < 100 ? percent : 0) {}

  bool limited() const { return percent_ != 0; }
  // Output may not be read now.
  bool spent() const { return spent_; }

  // `now_ns`: any clock that does not go back; `used_ns`: the processor time of
  // this process. The first call only takes note of both.
  void Account(int64_t now_ns, int64_t used_ns);

  // What was used since the last call was used for something else.
  void Forgive(int64_t used_ns) { used_ns_ = used_ns; }

  // How long until spent() can be over, rounded up; 0 when it is not spent.
  int WaitMs() const;

 private:
  const uint32_t percent_;
  bool spent_ = false;
  bool started_ = false;
  int64_t now_ns_ = 0;
  int64_t used_ns_ = 0;
  int64_t left_ns_ = kBurstNs;
};

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_CPU_SHARE_H_
