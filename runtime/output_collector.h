#ifndef WARREN_RUNTIME_OUTPUT_COLLECTOR_H_
#define WARREN_RUNTIME_OUTPUT_COLLECTOR_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <poll.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/unique_fd.h"

namespace warren::runtime {

// Reads the two output pipes of an exec session. Keeps at most `limit` bytes
// of both together; the rest is read and dropped, so that the program never
// blocks on us (STR-3). Thread-compatible.
class OutputCollector {
 public:
  // Read ends; made non-blocking.
  static absl::StatusOr<OutputCollector> Make(base::UniqueFd out,
                                              base::UniqueFd err, size_t limit);

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
  OutputCollector(base::UniqueFd out, base::UniqueFd err, size_t limit)
      : out_(std::move(out)), err_(std::move(err)), left_(limit) {}
  absl::Status ReadFrom(base::UniqueFd* pipe, std::string* data);

  base::UniqueFd out_;
  base::UniqueFd err_;
  size_t left_;
  std::string stdout_;
  std::string stderr_;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_OUTPUT_COLLECTOR_H_
