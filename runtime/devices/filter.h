#ifndef WARREN_RUNTIME_DEVICES_FILTER_H_
#define WARREN_RUNTIME_DEVICES_FILTER_H_

#include <absl/status/status.h>

#include "runtime/devices/rules.h"

// The device controller of cgroup v2 has no files: it is an eBPF program
// attached to a cgroup (bpf(2); kernel document admin-guide/cgroup-v2; Linux
// 4.15). It goes with the cgroup; nothing has to be undone. Thread-safe.
namespace warren::runtime {

// Whether the kernel takes such a program from us: it may be built without, or
// the daemon may lack CAP_BPF or CAP_SYS_ADMIN. Loads one and drops it.
bool CanFilterDevices();

// Makes `rules` the only ones of the cgroup behind `cgroup_fd` (borrowed; any
// directory of a v2 hierarchy; O_PATH will do). Older programs are detached
// after the new one is attached, so that there is a filter at every moment.
// Filters further up stay in force: all of them must allow a device
// (BPF_F_ALLOW_MULTI). Errors are errno's; when detaching fails, the cgroup has
// the new filter and some of the old ones, which can only forbid more.
absl::Status AttachDeviceFilter(int cgroup_fd, const DeviceRules& rules);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_DEVICES_FILTER_H_
