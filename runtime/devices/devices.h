#ifndef WARREN_RUNTIME_DEVICES_DEVICES_H_
#define WARREN_RUNTIME_DEVICES_DEVICES_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "runtime/runtime.h"

// From what a container asks for to device nodes as plain numbers. A path of
// the host is opened once and its numbers are read from the descriptor; from
// then on nothing looks at the path again: a node that is swapped later changes
// nothing (FS-1). Thread-safe.
namespace warren::runtime {

// Of one container's requests, directories expanded.
inline constexpr size_t kMaxDevices = 1024;
// Below the host's /dev.
inline constexpr size_t kMaxHostDevices = 16384;

// The requests in order; of a directory its nodes sorted by path. A directory
// on another file system than the one asked for is not entered (asked for /dev:
// not /dev/pts), a symlink, socket or file in it is no device, and what would
// get to a reserved place stays out. The same node twice at one path becomes
// one with the access of both.
//
// A request with a number of its own: mode 0666, owned by the pod's root,
// unless it says otherwise.
//
// kInvalidArgument, beginning with the request's field: neither a device nor a
// directory, a reserved container_path, two devices at one path, more than
// kMaxDevices, an owner that the pod's user namespace does not have.
// kFailedPrecondition: no such path on the host.
absl::StatusOr<std::vector<DeviceNode>> ResolveDevices(
    const std::vector<DeviceRequest>& requests, const SandboxSpec& sandbox);

// For a privileged container: all nodes below the host's /dev but those of
// which each container has its own (StandardDevices, IsReservedDeviceTarget).
// Numbers, mode and owner are the host's. kResourceExhausted past
// kMaxHostDevices.
absl::StatusOr<std::vector<DeviceNode>> ListHostDevices();

// null, zero, full, random, urandom and tty, mode 0666, owned by the pod's
// root. Pure.
std::vector<DeviceNode> StandardDevices(const SandboxSpec& sandbox);

// `below` and `above`, in order of appearance. Of two at one path the one of
// `above` stays. Pure.
std::vector<DeviceNode> MergeDevices(std::vector<DeviceNode> below,
                                     const std::vector<DeviceNode>& above);

// `path` is clean. Reserved: "/", /proc, /sys and below, /dev itself and in it
// what the runtime makes: fd, stdin, stdout, stderr, ptmx, console, and pts,
// shm, mqueue with all below. Pure.
bool IsReservedDeviceTarget(const std::string& path);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_DEVICES_DEVICES_H_
