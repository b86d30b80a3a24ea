#include "agent/pods/output_collector.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/base/status.h"

namespace warren::agent {
namespace {

absl::Status MakeNonBlocking(int fd) {
  // Only our end: the program's end is another open file description.
  if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
    return base::ErrnoError(errno, "fcntl pipe");
  }
  return absl::OkStatus();
}

}  // namespace

size_t OutputBudget::Take(size_t wanted) {
  size_t left = left_;
  while (!left_.compare_exchange_weak(left, left - std::min(left, wanted))) {
  }
  return std::min(left, wanted);
}

absl::StatusOr<std::unique_ptr<OutputCollector>> OutputCollector::Make(
    base::UniqueFd out, base::UniqueFd err, size_t limit,
    OutputBudget* budget) {
  RETURN_IF_ERROR(MakeNonBlocking(out.get()));
  RETURN_IF_ERROR(MakeNonBlocking(err.get()));
  return std::unique_ptr<OutputCollector>(
      new OutputCollector(std::move(out), std::move(err), limit, budget));
}

void OutputCollector::AddTo(std::vector<pollfd>* polled) const {
  for (const base::UniqueFd* pipe : {&out_, &err_}) {
    if (pipe->valid()) polled->push_back({pipe->get(), POLLIN, 0});
  }
}

absl::Status OutputCollector::ReadAvailable() {
  RETURN_IF_ERROR(ReadFrom(&out_, &stdout_));
  return ReadFrom(&err_, &stderr_);
}

size_t OutputCollector::Admit(size_t n) {
  n = std::min(n, left_);
  const size_t always = OutputBudget::kAlwaysBytes;
  const size_t free = kept_ < always ? std::min(n, always - kept_) : 0;
  const size_t taken = budget_->Take(n - free);
  // Once something was dropped the rest is, or there would be a hole.
  if (taken < n - free) left_ = free + taken;
  taken_ += taken;
  kept_ += free + taken;
  left_ -= free + taken;
  return free + taken;
}

absl::Status OutputCollector::ReadFrom(base::UniqueFd* pipe,
                                       std::string* data) {
  constexpr int kMaxReads = 8;
  char buffer[64 * 1024];
  for (int i = 0; i < kMaxReads && pipe->valid(); ++i) {
    const ssize_t n = read(pipe->get(), buffer, sizeof(buffer));
    if (n == 0) {
      pipe->reset();
    } else if (n > 0) {
      data->append(buffer, Admit(static_cast<size_t>(n)));
      // Less than asked for: most likely empty now.
      if (static_cast<size_t>(n) < sizeof(buffer)) return absl::OkStatus();
    } else if (errno == EAGAIN) {
      return absl::OkStatus();
    } else if (errno != EINTR) {
      return base::ErrnoError(errno, "read the program's output");
    }
  }
  return absl::OkStatus();
}

}  // namespace warren::agent
