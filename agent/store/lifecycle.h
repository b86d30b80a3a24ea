#ifndef WARREN_AGENT_STORE_LIFECYCLE_H_
#define WARREN_AGENT_STORE_LIFECYCLE_H_

#include <absl/status/status.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <string>

#include "agent/cri/cri.h"
#include "runtime/runtime.h"
#include "warren/record/v1/record.pb.h"

// The states of pods and containers, pure. A phase on record says what the
// agent intends; the state that CRI shows follows from facts.
//
//  pod sandbox                          container
//
//   CREATING --failed--> (erased)        CREATING --failed--> (erased)
//    |     `-undo failed--.               |    `-undo failed---------.
//    v                    |               v                          |
//   RUNNING = READY       |              CREATED --pod lost-------.  |
//    |                    |               |  |                    |  |
//    v                    |               |  `-> STARTING -failed-+  |
//   EXITED = NOTREADY <---'               |        |              |  |
//    |                                    |      RUNNING --exit---+  |
//    v                                    v                       v  v
//   REMOVING --> (erased)     (erased) <- REMOVING <------------ EXITED
//
// Nothing goes back; exit code, reason and time of an exit are set once
// (REL-8).
namespace warren::agent {

// kFailedPrecondition when the picture has no such arrow; setting the same
// phase again is none, except that REMOVING may be retried.
absl::Status Advance(::warren::record::v1::PodSandboxRecord* record,
                     ::warren::record::v1::Phase next);
absl::Status Advance(::warren::record::v1::ContainerRecord* record,
                     ::warren::record::v1::Phase next);

// Half-made or half-removed: what is left for it is to go. A call that wants
// its name removes it first.
bool IsOnItsWayOut(::warren::record::v1::Phase phase);

// READY only while RUNNING.
cri::PodSandboxState PublicState(
    const ::warren::record::v1::PodSandboxRecord& record);
// EXITED: there is a time of exit; RUNNING: there is a time of start.
cri::ContainerState PublicState(
    const ::warren::record::v1::ContainerRecord& record);

// Reasons of an exit that CRI clients know.
inline constexpr char kReasonCompleted[] = "Completed";
inline constexpr char kReasonError[] = "Error";
inline constexpr char kReasonOomKilled[] = "OOMKilled";
inline constexpr char kReasonStartError[] = "StartError";
inline constexpr char kReasonUnknown[] = "Unknown";
inline constexpr int kStartErrorExitCode = 128;
inline constexpr int kUnknownExitCode = 255;
inline constexpr int kOomExitCode = 137;  // 128 + SIGKILL

// OOMKilled: the kernel's OOM killer struck in the container's cgroup, and the
// container ended with 137: it was hit itself, or a child was and a shell
// passed that on. A program that outlives a killed child ends for reasons of
// its own; if it fails, the message tells of the child.
const char* ExitReason(const runtime::ExitRecord& exit);

// EXITED with what the shim found. `now_ns` stands in for a missing time of
// exit, which would make the exit invisible.
absl::Status SetExited(const runtime::ExitRecord& exit, int64_t now_ns,
                       ::warren::record::v1::ContainerRecord* record);
// EXITED although no program ran: 128, StartError, no time of start.
absl::Status SetStartFailed(absl::string_view message, int64_t now_ns,
                            ::warren::record::v1::ContainerRecord* record);
// EXITED with a code that nobody knows any more: 255, Unknown.
absl::Status SetLost(absl::string_view message, int64_t now_ns,
                     ::warren::record::v1::ContainerRecord* record);

}  // namespace warren::agent

#endif  // WARREN_AGENT_STORE_LIFECYCLE_H_
