#ifndef WARREN_AGENT_PODS_OUTPUT_COLLECTOR_H_
#define WARREN_AGENT_PODS_OUTPUT_COLLECTOR_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <poll.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/unique_fd.h"

namespace warren::agent {

// Bytes that all exec sessions of the agent together may hold, so that many
// floods at once do not add up to more memory than it has (STR-3). What each
// session may hold in any case is not taken from it: a probe that says a few
// words is heard during the worst flood. Thread-safe.
class OutputBudget {
 public:
  // Of the unit's MemoryMax=1G: each byte exists three times for a moment, as
  // output, as reply and as what is sent.
  static constexpr size_t kBytes = size_t{128} << 20;
  static constexpr size_t kAlwaysBytes = size_t{64} << 10;

  explicit OutputBudget(size_t bytes = kBytes) : left_(bytes) {}

  // As much of `wanted` as there is.
  size_t Take(size_t wanted);
  void GiveBack(size_t bytes) { left_ += bytes; }
  size_t left() const { return left_; }

 private:
  std::atomic<size_t> left_;
};

// Reads the two output pipes of an exec session. Keeps at most `limit` bytes
// of both together, and of those what the budget allows; the rest is read and
// dropped, so that the program never blocks on us (STR-3). What it took from
// the budget goes back when it is destroyed. Thread-compatible.
class OutputCollector {
 public:
  // Read ends; made non-blocking. `budget` is borrowed.
  static absl::StatusOr<std::unique_ptr<OutputCollector>> Make(
      base::UniqueFd out, base::UniqueFd err, size_t limit,
      OutputBudget* budget);
  ~OutputCollector() { budget_->GiveBack(taken_); }
  OutputCollector(const OutputCollector&) = delete;
  OutputCollector& operator=(const OutputCollector&) = delete;

  // Both pipes are at their end.
  bool done() const { return !out_.valid() && !err_.valid(); }
  // Adds what is still open, to be polled for POLLIN.
  void AddTo(std::vector<pollfd>* polled) const;
  // Reads what is there now, at most a few hundred KiB, so that a flood does
  // not keep the caller from its clock.
  absl::Status ReadAvailable();

  std::string TakeStdout() { return std::move(stdout_); }
  std::string TakeStderr() { return std::move(stderr_); }

 private:
  OutputCollector(base::UniqueFd out, base::UniqueFd err, size_t limit,
                  OutputBudget* budget)
      : out_(std::move(out)),
        err_(std::move(err)),
        left_(limit),
        budget_(budget) {}
  absl::Status ReadFrom(base::UniqueFd* pipe, std::string* data);
  // How many of `n` bytes more are kept.
  size_t Admit(size_t n);

  base::UniqueFd out_;
  base::UniqueFd err_;
  size_t left_;
  OutputBudget* budget_;
  size_t kept_ = 0;
  size_t taken_ = 0;  // from the budget
  std::string stdout_;
  std::string stderr_;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_OUTPUT_COLLECTOR_H_
