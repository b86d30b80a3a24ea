#include "agent/api/call_pool.h"

#include "runtime/base/status.h"

namespace warren::agent {

absl::StatusOr<std::unique_ptr<CallPool>> CallPool::Start() {
  std::unique_ptr<CallPool> pool(new CallPool);
  ASSIGN_OR_RETURN(pool->parking_, Parking::Start());
  ASSIGN_OR_RETURN(pool->change_, base::Workers::Start(kChangeThreads));
  ASSIGN_OR_RETURN(pool->end_, base::Workers::Start(kEndThreads));
  ASSIGN_OR_RETURN(pool->exec_, base::Workers::Start(kExecThreads));
  return pool;
}

}  // namespace warren::agent
