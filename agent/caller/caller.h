#ifndef WARREN_AGENT_CALLER_CALLER_H_
#define WARREN_AGENT_CALLER_CALLER_H_

#include <sys/types.h>

#include <optional>
#include <string>

namespace warren::agent {

// Who made a call. The transport knows it from the connection; nothing that a
// client sends has any influence on it. What a caller may do is decided in
// access.h and nowhere else.
//
// A value; the default is a caller of whom nothing is known.
struct Caller {
  enum class Kind {
    kUnknown,   // the transport could not tell
    kUnixUser,  // a user of this node, over a unix socket
  };

  Kind kind = Kind::kUnknown;
  // Effective user of the process that called connect(2), by SO_PEERCRED
  // (unix(7)). Unset for kUnknown, and for a user of the node that the
  // transport cannot tell from other such users (caller_acceptors.h).
  std::optional<uid_t> uid = std::nullopt;
  // The endpoint has a group (socket_group of the configuration), and when the
  // connection was accepted its process was a member of it. False where that
  // did not matter, as it does not for root.
  bool in_group = false;

  static Caller UnixUser(std::optional<uid_t> uid, bool in_group = false) {
    return {Kind::kUnixUser, uid, in_group};
  }

  // For logs and messages: "uid:0"; "unix:" for a user without a number;
  // "unknown".
  std::string Name() const;

  bool operator==(const Caller&) const = default;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_CALLER_CALLER_H_
