#ifndef WARREN_RUNTIME_INIT_SANDBOX_MAKER_H_
#define WARREN_RUNTIME_INIT_SANDBOX_MAKER_H_

#include <cstddef>
#include <cstdint>

namespace warren::init {

// A child of the shim that makes a pod's namespaces where the shim itself
// cannot: below a user namespace, or with a first process in a pid namespace.
struct MakerPlan {
  int socket;  // SEQPACKET, CLOEXEC: reports out, one byte "go" in
  const int* cgroup_procs_fds;
  size_t cgroup_procs_count;
  uint64_t flags;       // CLONE_NEW* to make
  bool pod_init;        // leave a pod init in the new pid namespace
  int template_mnt_fd;  // whose procfs and sysfs are in full view; -1 = none
};

// Talks as follows, each "ready" waiting for one byte from the shim; end of
// file instead means that the shim is gone, and ends the process:
//
//   maker                                shim
//     | [unshare NEWUSER]                  |
//     | ready "user" --------------------> | writes uid_map, gid_map
//     | [becomes root, unshare the rest]   |
//     | ready "namespaces" --------------> | time offsets, sysctls, hostname
//     | [clone NEWPID, CLONE_PARENT]       |
//     | forked pid ---------------> exits  |
//   pod init                               |
//     | procfs --------------------------> | keeps it
//     | ready "pod init" ------------------> | pins; tells the agent
//     | closes the socket, reaps for ever  |
//
// A failed step is a kFailed report with that step's name.
[[noreturn]] void RunSandboxMaker(const MakerPlan& plan);

}  // namespace warren::init

#endif  // WARREN_RUNTIME_INIT_SANDBOX_MAKER_H_
