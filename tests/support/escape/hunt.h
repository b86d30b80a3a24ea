#ifndef WARREN_TESTS_SUPPORT_ESCAPE_HUNT_H_
#define WARREN_TESTS_SUPPORT_ESCAPE_HUNT_H_

namespace warren::escape {

// Verbs of warren_escape_probe beside the attempts; exit codes.

// What a hunt is after.
enum class Prey {
  // Programs that are not the container's own: they are opened, and written to
  // later. For a hunter that sees processes of the node, whose descriptors are
  // nobody's secret: those of the test's own runner are among them.
  kPrograms,
  kAll,          // also descriptors and environments
  kAllAndTrace,  // also stops each process by ptrace(2)
  // Stops each process by ptrace(2), which the hunter has the capability for,
  // and looks for what it has beyond the container's own (rights.h).
  kRights,
};

// Prints "ready", then looks at every process but the first and itself until
// /stop exists, however long that takes. Prints "HIT pid what detail" for what
// must not work, and "seen=N foreign=N hits=N" whenever one of the first two
// has doubled and at last: looks at a process, programs of Warren that could
// be opened, hits; with kRights also "stopped=N caught=N": processes that were
// stopped, and those of them that were no program of the container yet.
// `secret`, with kRights: a file of the node.
//
// What ends the hunt must make a directory of /stop: a process that makes a
// file of it has it open, and a descriptor of a file is a hit.
int Hunt(Prey prey, const char* secret = "");

// "added" or the errno: a key into the session keyring.
int AddSessionKey(const char* name);
// "found" or the errno: request_key(2), which looks into all keyrings.
int FindKey(const char* name);

}  // namespace warren::escape

#endif  // WARREN_TESTS_SUPPORT_ESCAPE_HUNT_H_
