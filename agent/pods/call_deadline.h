#ifndef WARREN_AGENT_PODS_CALL_DEADLINE_H_
#define WARREN_AGENT_PODS_CALL_DEADLINE_H_

#include "agent/caller/call_context.h"
#include "runtime/base/deadline.h"

namespace warren::agent {

// How long the waits of a call may last: while its caller waits. `call` must
// outlive the deadline's use.
inline base::Deadline DeadlineOf(const CallContext& call) {
  return base::Deadline::After(call.Remaining()).CancelledBy(call.cancelled);
}

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_CALL_DEADLINE_H_
