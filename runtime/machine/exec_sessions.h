#ifndef WARREN_RUNTIME_MACHINE_EXEC_SESSIONS_H_
#define WARREN_RUNTIME_MACHINE_EXEC_SESSIONS_H_

#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "runtime/base/deadline.h"
#include "runtime/machine/parts.h"
#include "runtime/runtime.h"

namespace warren::runtime {

// Programs beside those of containers: Runtime::StartExec. Each has a shim of
// its own, which the ExecProcess owns; nothing is kept here. Thread-safe.
class ExecSessions {
 public:
  // `parts` is borrowed.
  explicit ExecSessions(Parts* parts) : parts_(*parts) {}

  absl::StatusOr<std::unique_ptr<ExecProcess>> Start(
      const std::string& container_id, ExecSpec spec,
      const base::Deadline& deadline);

 private:
  Parts& parts_;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MACHINE_EXEC_SESSIONS_H_
