#ifndef WARREN_TESTS_FAULTS_FAULT_CASE_H_
#define WARREN_TESTS_FAULTS_FAULT_CASE_H_

#include <cstdint>
#include <cstring>
#include <string>

#include "tests/faults/fault_orders.h"

// What the walk does, once for each: an operation, and the call in it that
// fails.
namespace warren::faults {

enum Operation {
  kRunPod,
  kCreate,
  kStart,
  kExec,
  kStop,
  kRemove,
  kImport,
  kAgentStart,
  // Of these the walk takes only the points that those above do not reach.
  kMapped,
  kHostPids,
  kExecTimeout,
  kLook,
  kRemoveImage,
  kOperations
};
inline constexpr const char* kNames[] = {
    "RunPodSandbox",
    "CreateContainer",
    "StartContainer",
    "ExecSync",
    "StopContainer",
    "RemovePodSandbox",
    "ImportImage",
    "start of the agent",
    "a pod with a user namespace",
    "a pod with the node's pids",
    "ExecSync, timed out",
    "looks and changes",
    "RemoveImage",
};

struct Case {
  Operation operation;
  uint64_t key;
  uint32_t nth;
  int error;
  std::string what;
};

inline std::string ErrorName(int error) {
  return error == kStall ? "stall" : strerrorname_np(error);
}

}  // namespace warren::faults

#endif  // WARREN_TESTS_FAULTS_FAULT_CASE_H_
