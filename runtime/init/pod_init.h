#ifndef WARREN_RUNTIME_INIT_POD_INIT_H_
#define WARREN_RUNTIME_INIT_POD_INIT_H_

namespace warren::init {

// Locks the calling process, PID 1 of a pod's pid namespace, into a box:
// session of its own, a mount namespace with one empty read-only tmpfs, no
// capabilities, no descriptors but `socket`, not dumpable. Returns 0 or
// errno. Every process of the pod can see PID 1: nothing may be reached
// through it. Alone there so far, it mounts the procfs that those who join
// later get and sends it to `socket` (kProcfs), detached.
int BecomePodInit(int socket);

// Reaps orphans for ever; only SIGKILL from outside the namespace ends it.
// Closes every descriptor first.
[[noreturn]] void ServeAsPodInit();

}  // namespace warren::init

#endif  // WARREN_RUNTIME_INIT_POD_INIT_H_
