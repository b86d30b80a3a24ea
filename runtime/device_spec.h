#ifndef WARREN_RUNTIME_DEVICE_SPEC_H_
#define WARREN_RUNTIME_DEVICE_SPEC_H_

#include <cstdint>
#include <optional>
#include <string>

// Devices as part of runtime.h: what a container asks for, and what was found
// for it. Plain values.
namespace warren::runtime {

// What may be done with a device; values as BPF_DEVCG_ACC_* of linux/bpf.h.
inline constexpr uint8_t kDeviceMknod = 1;
inline constexpr uint8_t kDeviceRead = 2;
inline constexpr uint8_t kDeviceWrite = 4;
inline constexpr uint8_t kDeviceAll = kDeviceMknod | kDeviceRead | kDeviceWrite;

// st_rdev of a node (makedev(3)).
struct DeviceNumber {
  uint32_t type = 0;  // S_IFCHR or S_IFBLK
  uint32_t major = 0;
  uint32_t minor = 0;
  bool operator==(const DeviceNumber&) const = default;
};

// A device of the host that a container asks for.
struct DeviceRequest {
  std::string field;  // how errors call it: "config.devices[0]"
  // Absolute, followed through symlinks: a node, or a directory, which stands
  // for all nodes in it and below.
  std::string host_path;
  std::string container_path;  // absolute; of a directory: where its nodes go
  uint8_t access = kDeviceAll;
  std::optional<uint32_t> type;  // S_IFCHR, S_IFBLK: what it must be
  // Instead of what the host's node has. With a number of its own the host
  // need not have a node at all.
  std::optional<DeviceNumber> number;
  std::optional<uint32_t> mode;  // 0..07777
  std::optional<uint32_t> uid;   // as the container sees it
  std::optional<uint32_t> gid;
  bool operator==(const DeviceRequest&) const = default;
};

// What a DeviceRequest came to: found once, then recorded.
struct DeviceNode {
  std::string container_path;  // absolute, clean
  std::string host_path;       // where it was found; "" = numbers alone
  DeviceNumber number;
  uint32_t mode = 0;  // 0..07777
  uint32_t uid = 0;   // the host's numbers
  uint32_t gid = 0;
  uint8_t access = kDeviceAll;
  bool operator==(const DeviceNode&) const = default;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_DEVICE_SPEC_H_
