#ifndef WARREN_RUNTIME_IDENTITY_PRIVILEGES_H_
#define WARREN_RUNTIME_IDENTITY_PRIVILEGES_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <string>
#include <vector>

// What the daemon itself may do (capabilities(7)). What it lacks it cannot
// give to others: requests are clamped to it, and that is said once.
namespace warren::runtime {

// An immutable value; thread-safe.
class Privileges {
 public:
  // Those of this process, from procfs. kInternal when that cannot be read.
  static absl::StatusOr<Privileges> Read();
  // From the text of /proc/self/status and /proc/self/oom_score_adj. Pure.
  static absl::StatusOr<Privileges> Parse(absl::string_view status,
                                          absl::string_view oom_score_adj);

  // Lowering oom_score_adj needs CAP_SYS_RESOURCE (proc(5)); without it the
  // daemon's own value is the lowest that can be had. Always in -1000..1000.
  int32_t ClampOomScoreAdj(int64_t wanted) const;
  // `wanted` has bit n for capability n. In the host's user namespace a process
  // cannot have more than the daemon; in one of its own it has all that the
  // kernel knows.
  uint64_t ClampCapabilities(uint64_t wanted, bool user_namespace) const;

  // One sentence for each privilege that is missing and without which the
  // daemon works less well, for the log and Status.
  std::vector<std::string> Missing() const;

 private:
  uint64_t effective_ = 0;
  uint64_t bounding_ = 0;
  int32_t oom_score_adj_ = 0;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_IDENTITY_PRIVILEGES_H_
