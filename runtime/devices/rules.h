#ifndef WARREN_RUNTIME_DEVICES_RULES_H_
#define WARREN_RUNTIME_DEVICES_RULES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/runtime.h"

// Which devices a container may make and open, in the one form that both
// kinds of cgroup understand: a list of what is allowed. All else is forbidden.
// Pure.
namespace warren::runtime {

struct DeviceRule {
  uint32_t type = 0;              // S_IFCHR or S_IFBLK
  std::optional<uint32_t> major;  // nullopt = any
  std::optional<uint32_t> minor;
  uint8_t access = 0;  // kDevice* bits
  bool operator==(const DeviceRule&) const = default;
};
using DeviceRules = std::vector<DeviceRule>;

// What every container may do, whatever it asks for:
//  - mknod of any node, without opening it, so that archives that hold some
//    can be unpacked (without CAP_MKNOD not even that);
//  - opening null, zero, full, random, urandom, tty and the pseudo terminals.
// Not among them, unlike with other runtimes: 5:1, which is the console of the
// node (a container's /dev/console is a pseudo terminal), and 10:200,
// /dev/net/tun.
const DeviceRules& StandardDeviceRules();

// The standard ones and those of the nodes. A device that is there twice gets
// what both allow, as one rule.
DeviceRules RulesFor(const std::vector<DeviceNode>& nodes);

// As devices.allow of cgroup v1 takes it (kernel document
// admin-guide/cgroup-v1/devices): "c 1:3 rwm", "b *:* m".
std::string ToV1Text(const DeviceRule& rule);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_DEVICES_RULES_H_
