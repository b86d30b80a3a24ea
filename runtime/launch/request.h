#ifndef WARREN_RUNTIME_LAUNCH_REQUEST_H_
#define WARREN_RUNTIME_LAUNCH_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "runtime/cgroup/driver.h"
#include "runtime/identity/privileges.h"
#include "runtime/mounts/sources.h"
#include "runtime/runtime.h"
#include "runtime/seccomp/compiler.h"
#include "warren/shim/v1/shim.pb.h"

// Specs and opened descriptors -> launch requests of the shim. The requests
// name descriptors by their place in `fds`, counted from 1. No system calls.
namespace warren::runtime {

class LaunchRequest {
 public:
  shim::v1::LaunchRequest message;

  // Puts a borrowed descriptor in the sequence; 0 for -1 (none).
  uint32_t Lend(int fd);
  // The same, and keeps it open as long as this request.
  uint32_t Give(base::UniqueFd fd);

  const std::vector<int>& fds() const { return fds_; }

 private:
  std::vector<int> fds_;
  std::vector<base::UniqueFd> owned_;
};

struct SandboxLaunchParts {
  const SandboxSpec* spec = nullptr;
  uint64_t clone_flags = 0;
  CgroupPlacement placement;  // of the pod init
  int template_ns_fd = -1;
  int pins_ns_fd = -1;
  int pin_dir_fd = -1;
};
LaunchRequest BuildSandboxLaunch(SandboxLaunchParts parts);

struct ContainerLaunchParts {
  const ContainerSpec* spec = nullptr;
  const User* user = nullptr;
  const Privileges* privileges = nullptr;
  const seccomp::Program* filter = nullptr;               // null = unconfined
  std::vector<std::pair<uint64_t, base::UniqueFd>> join;  // user first
  int template_ns_fd = -1;
  base::UniqueFd rootfs;
  bool shift_owners = false;
  uint64_t rootfs_propagation = 0;
  std::vector<OpenedMount> mounts;
  int null_fd = -1;
  CgroupPlacement placement;
  base::UniqueFd oom_file;
  bool cgroup_v2 = false;
  base::UniqueFd run_dir;
  base::UniqueFd log_dir;  // invalid = output is dropped
  std::string log_name;
  uint32_t log_cpu_percent = 0;  // of a processor, for the shim; 0 = no limit
};
LaunchRequest BuildContainerLaunch(ContainerLaunchParts parts);

struct ExecLaunchParts {
  const ContainerSpec* spec = nullptr;
  const User* user = nullptr;
  const Privileges* privileges = nullptr;
  const seccomp::Program* filter = nullptr;  // null = unconfined
  const std::vector<std::string>* args = nullptr;
  int target_pidfd = -1;
  uint64_t setns_flags = 0;
  CgroupPlacement placement;
  base::UniqueFd procs;  // cgroup.procs, read only
  int null_fd = -1;
  // Invalid: null_fd. Not looked at with a terminal.
  base::UniqueFd stdin_fd;
  base::UniqueFd stdout_fd;
  base::UniqueFd stderr_fd;
  std::optional<TerminalSize> terminal;
};
LaunchRequest BuildExecLaunch(ExecLaunchParts parts);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_LAUNCH_REQUEST_H_
