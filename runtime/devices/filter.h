#ifndef WARREN_RUNTIME_DEVICES_FILTER_H_
#define WARREN_RUNTIME_DEVICES_FILTER_H_

#include <absl/status/status.h>

#include "runtime/devices/rules.h"

// The device controller of cgroup v2 has no files: it is an eBPF program
// attached to a cgroup (bpf(2); kernel document admin-guide/cgroup-v2). It
// goes with the cgroup; nothing has to be undone.
namespace warren::runtime {

// Whether the kernel takes such a program from us: it may be built without, or
// the daemon may lack CAP_BPF or CAP_SYS_ADMIN. Loads one and drops it.
bool CanFilterDevices();

// Makes `rules` the only ones of the cgroup behind `cgroup_fd` (any directory
// of a v2 hierarchy; O_PATH will do); what was attached before is detached
// after, so that at no moment there is no filter. Filters further up stay in
// force: a device must be allowed by all of them (BPF_F_ALLOW_MULTI).
absl::Status AttachDeviceFilter(int cgroup_fd, const DeviceRules& rules);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_DEVICES_FILTER_H_
