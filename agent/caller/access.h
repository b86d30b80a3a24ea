#ifndef WARREN_AGENT_CALLER_ACCESS_H_
#define WARREN_AGENT_CALLER_ACCESS_H_

#include <absl/status/status.h>
#include <absl/strings/string_view.h>
#include <absl/types/span.h>

#include <optional>

#include "agent/caller/caller.h"

// The one table of what every call of the API does, and the one function that
// decides who may make it. Pure but for the daemon's own user id; thread-safe.
namespace warren::agent {

// What a call does.
enum class Right {
  kRead,     // tells what there is and changes nothing
  kExec,     // runs or talks to a program inside a container that is there
  kOperate,  // makes, changes or removes pods, containers and images. A pod may
             // be privileged, so who holds this right is root on the node.
  kAdmin,    // changes how the node as a whole works
};

// "read", "exec", "operate", "admin".
absl::string_view RightName(Right right);

// How a call keeps the daemon busy: calls of one class are counted together and
// have a limit together (admission.h), so that no class can keep another out.
enum class CallClass {
  kRead,    // answers at once from what is known
  kStream,  // lasts as long as the client likes: it reads or sends at its speed
  kChange,  // makes or changes something; waits for its turn
  kEnd,     // ends programs, and waits for a grace or a death
  kExec,    // runs a program and waits for its end
};
inline constexpr int kCallClasses = 5;

// "read", "stream", "change", "end", "exec".
absl::string_view CallClassName(CallClass call_class);

struct RpcRight {
  absl::string_view rpc;  // "runtime.v1.RuntimeService/Version"
  Right right;
  CallClass call_class;
};

// A row for every RPC of every service that the daemon serves, those of gRPC's
// health and reflection services among them. access_test.cc fails when a
// service has an RPC without a row.
absl::Span<const RpcRight> AccessTable();

// The class of the call `rpc`, named as in the table; none without a row.
std::optional<CallClass> ClassOf(absl::string_view rpc);

// OK if `caller` may make the call `rpc`, named as in the table. Otherwise
// kPermissionDenied, which says who was refused what. An RPC that has no row
// is refused to everybody.
//
// The rule: root, the daemon's own user, and members of the endpoint's group
// hold every right; anybody else, and a caller of whom nothing is known, holds
// none. There are no roles.
absl::Status MayCall(const Caller& caller, absl::string_view rpc);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CALLER_ACCESS_H_
