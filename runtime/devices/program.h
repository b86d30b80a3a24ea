#ifndef WARREN_RUNTIME_DEVICES_PROGRAM_H_
#define WARREN_RUNTIME_DEVICES_PROGRAM_H_

#include <linux/bpf.h>

#include <vector>

#include "runtime/devices/rules.h"

namespace warren::runtime {

// Rules as an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE: the kernel
// runs it at every mknod(2) and every open(2) of a device node and lets the
// call pass when it returns 1 (linux/bpf.h, struct bpf_cgroup_dev_ctx; kernel
// document admin-guide/cgroup-v2, "Device controller").
//
// A call passes when one rule allows everything it asks for: two rules of one
// device, one to read and one to write, do not add up to reading and writing.
// RulesFor() has no such pairs; v1's controller decides the same way.
//
// Straight code without loops, helpers or maps: at most 8 instructions a rule.
// Pure.
std::vector<bpf_insn> DeviceProgram(const DeviceRules& rules);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_DEVICES_PROGRAM_H_
