#ifndef WARREN_TESTS_SUPPORT_ESCAPE_HUNT_H_
#define WARREN_TESTS_SUPPORT_ESCAPE_HUNT_H_

namespace warren::escape {

// Verbs of warren_escape_probe beside the attempts; exit codes.

// Prints "ready", then looks at every process but the first and itself until
// /stop exists or the time is over: opens programs that are not the
// container's own and writes to them later, looks at descriptors and
// environments, and with `trace` stops each by ptrace(2). Prints
// "HIT pid what detail" for what must not work, and at last
// "seen=N foreign=N hits=N".
int Hunt(int seconds, bool trace);

// "added" or the errno: a key into the session keyring.
int AddSessionKey(const char* name);
// "found" or the errno: request_key(2), which looks into all keyrings.
int FindKey(const char* name);

}  // namespace warren::escape

#endif  // WARREN_TESTS_SUPPORT_ESCAPE_HUNT_H_
