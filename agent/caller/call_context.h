#ifndef WARREN_AGENT_CALLER_CALL_CONTEXT_H_
#define WARREN_AGENT_CALLER_CALL_CONTEXT_H_

#include "agent/caller/caller.h"
#include "runtime/base/deadline.h"

namespace warren::agent {

// What a manager needs to know of the call it works for, without gRPC.
// Value type; its cancellation lives as long as the call. The default is work
// of the daemon's own, which has no limit of time.
struct CallContext {
  // How long the caller waits, and whether it still does. Waits for an object's
  // turn, a death or a command end with it (REL-12). It was converted from the
  // deadline of the request when the call came (api/rpc.cc), so that a jump of
  // the wall clock afterwards neither shortens nor lengthens what is left
  // (REL-23).
  base::Deadline deadline = base::Deadline::Never();
  // Already admitted: what a caller may do was decided before the call began.
  Caller caller = {};
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_CALLER_CALL_CONTEXT_H_
