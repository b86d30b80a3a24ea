#include "runtime/shim/cpu_share.h"

#include <algorithm>

namespace warren::shim {

void CpuShare::Account(int64_t now_ns, int64_t used_ns) {
  if (!limited()) return;
  if (started_) {
    // A bucket that is full takes no more, so a long silence cannot overflow.
    const int64_t passed =
        std::min(now_ns - now_ns_, kBurstNs * 100 / percent_);
    left_ns_ += passed * percent_ / 100 - (used_ns - used_ns_);
    // One read that cost a lot is owed for a while only.
    left_ns_ = std::clamp(left_ns_, -kBurstNs, kBurstNs);
  }
  started_ = true;
  now_ns_ = now_ns;
  used_ns_ = used_ns;
  if (left_ns_ <= 0) spent_ = true;
  if (left_ns_ >= kResumeNs) spent_ = false;
}

int CpuShare::WaitMs() const {
  if (!spent_) return 0;
  const int64_t wait_ns = (kResumeNs - left_ns_) * 100 / percent_;
  return static_cast<int>(wait_ns / 1'000'000 + 1);
}

}  // namespace warren::shim
