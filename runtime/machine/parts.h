#ifndef WARREN_RUNTIME_MACHINE_PARTS_H_
#define WARREN_RUNTIME_MACHINE_PARTS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "runtime/base/deadline.h"
#include "runtime/base/unique_fd.h"
#include "runtime/cgroup/driver.h"
#include "runtime/identity/privileges.h"
#include "runtime/launch/shim_client.h"
#include "runtime/launch/shim_place.h"
#include "runtime/machine/live_container.h"
#include "runtime/machine/options.h"
#include "runtime/mounts/plan.h"
#include "runtime/namespaces/mount_namespaces.h"
#include "runtime/seccomp/program_cache.h"

namespace warren::runtime {

// What sandboxes, containers, exec sessions and the inspection share. One
// object for each Runtime; it outlives them. Made once, then read by all
// threads: every member is constant or thread-safe by itself.
struct Parts {
  // Opens and makes what the options name, and becomes a child subreaper.
  static absl::StatusOr<std::unique_ptr<Parts>> Make(
      const LinuxRuntimeOptions& options);

  Parts(LinuxRuntimeOptions o, ShimLauncher l, const Privileges& p,
        const seccomp::Host& host);
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  // ---- Names: where the things of a sandbox or container are ----
  std::string SandboxDir(const std::string& id) const;    // <run>/sandboxes/…
  std::string ContainerDir(const std::string& id) const;  // <run>/containers/…
  std::string StateDir(const std::string& id) const;   // <state>/containers/…
  std::string RootfsDir(const std::string& id) const;  // … /rootfs
  std::string MountPointsDir() const;  // the lowest layer of every rootfs

  // ---- What the operator and the daemon's rights make of a request ----
  // What a container asks for plus what the operator wants where it does not.
  Resources WithDefaults(const Resources& resources) const;
  // The bounding set that the container gets.
  uint64_t CapabilitiesOf(const ContainerSpec& spec) const;

  // SIGKILL to everything in the leaf until nothing is left; a missing leaf is
  // OK. kDeadlineExceeded when something still lives, kCancelled. The first
  // signals are sent whatever the deadline says.
  absl::Status KillLeaf(const CgroupLeaf& leaf,
                        const base::Deadline& deadline) const;

  const LinuxRuntimeOptions options;
  ShimLauncher launcher;  // into `shim_place`
  const Privileges privileges;
  seccomp::ProgramCache filters;
  bool time_namespaces = false;  // the kernel has them
  // Inodes of the agent's own namespaces: what "the host's" means. 0 = the
  // kernel has none of that kind.
  std::array<uint64_t, kNamespaceKinds> host_inodes = {};
  std::unique_ptr<CgroupDriver> cgroups;
  std::unique_ptr<ShimPlace> shim_place;
  MountHost mount_host;
  std::unique_ptr<MountNamespaces> mount_namespaces;
  ContainerTable containers;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MACHINE_PARTS_H_
