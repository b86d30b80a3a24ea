#ifndef WARREN_RUNTIME_MACHINE_OPTIONS_H_
#define WARREN_RUNTIME_MACHINE_OPTIONS_H_

#include <cstdint>
#include <string>

namespace warren::runtime {

// What an operator decides about the Runtime of this machine.
struct LinuxRuntimeOptions {
  // Both are made (0700) when missing. run_dir must be gone after a reboot.
  std::string run_dir = "/run/warren";
  std::string state_dir = "/var/lib/warren";
  std::string shim_path;  // read once into a sealed memfd
  // Where containers go whose pod names no cgroup parent; made on demand.
  std::string default_cgroup_parent = "/warren";
  // pids.max of containers that ask for none; 0 = no limit.
  int64_t default_pids_limit = 0;
  // Of one processor, for the copying of a container's output to its log;
  // 0, and 100 and more, is no limit.
  uint32_t log_cpu_percent = 0;
  std::string cgroup_root = "/sys/fs/cgroup";
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MACHINE_OPTIONS_H_
