#ifndef WARREN_RUNTIME_VIEWS_H_
#define WARREN_RUNTIME_VIEWS_H_

#include <absl/status/status.h>
#include <absl/strings/string_view.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

// Namespaces by kind, and what a look at the kernel shows of a pod and its
// containers. Part of the seam runtime.h; plain values.
namespace warren::runtime {

// ---- Namespaces -----------------------------------------------------------

// The eight kinds, in the order in which they must be made: the user
// namespace first, so that it owns the others (user_namespaces(7)).
enum class NamespaceKind : uint8_t {
  kUser,
  kMnt,
  kPid,
  kNet,
  kIpc,
  kUts,
  kCgroup,
  kTime,
};
inline constexpr int kNamespaceKinds = 8;

enum class NamespaceMode : uint8_t {
  kPod,        // one for the pod, shared by its containers
  kContainer,  // one for each container
  kHost,       // the node's
  kTarget,     // that of another container of the pod (pid only)
};

// user_namespaces(7): ids [container_id, +length) inside are
// [host_id, +length) outside.
struct IdMapping {
  uint32_t container_id = 0;
  uint32_t host_id = 0;
  uint32_t length = 0;
  bool operator==(const IdMapping&) const = default;
};

// Checks what the kernel would refuse, before anything is made: empty ranges,
// overflow, overlap on either side; and that id 0 is mapped. kInvalidArgument
// begins with `field`. An empty list is good: the host's namespace. Pure;
// defined in identity/id_map.cc.
absl::Status ValidateIdMappings(const std::vector<IdMapping>& mappings,
                                absl::string_view field);

// What a time namespace adds to the host's clocks (time_namespaces(7)), in
// nanoseconds; may be negative.
struct TimeOffsets {
  int64_t boottime_ns = 0;
  int64_t monotonic_ns = 0;
  bool operator==(const TimeOffsets&) const = default;
};

// ---- Inspection: read from the kernel at call time ------------------------

// One namespace of a pod or container, as a process in it or its pin shows it.
// Inodes are 0 where that cannot be read.
struct NamespaceView {
  NamespaceKind kind = NamespaceKind::kUser;
  uint64_t inode = 0;  // of nsfs; the namespace's identity until a reboot
  // Inode of the user namespace that owns it, NS_GET_USERNS (ioctl_ns(2)).
  uint64_t owner_user_inode = 0;
  NamespaceMode mode = NamespaceMode::kHost;  // as asked for
  bool is_host = false;  // the kernel says that it is the node's
};

struct ProcessView {
  pid_t host_pid = 0;
  pid_t inner_pid = 0;  // last of NSpid in /proc/<pid>/status
  uint32_t uid = 0;     // as the host sees it
  uint32_t gid = 0;
  std::string command;  // arguments as one line
};

// A line of /proc/<pid>/mountinfo (proc(5)).
struct MountView {
  std::string target;  // as the process sees it
  std::string fs_type;
  std::string source;
  std::string options;  // of the mount, not of the file system
};

// Namespaces, mounts and hostname are those of the container's first process.
// Of one that does not run only id and cgroup_path are set.
struct ContainerView {
  std::string id;
  std::vector<NamespaceView> namespaces;  // all that the kernel has
  std::vector<ProcessView> processes;     // all in its cgroup
  std::vector<MountView> mounts;
  std::string cgroup_path;  // below the hierarchy's root
  std::string hostname;     // as the container sees it
};

struct SandboxView {
  // Those that the pod has for its containers, not those that each container
  // has for itself. A stopped pod has none.
  std::vector<NamespaceView> namespaces;
  std::vector<IdMapping> uid_mappings;  // empty: the node's user namespace
  std::vector<IdMapping> gid_mappings;
  std::string hostname;
  TimeOffsets time_offsets;
  std::string cgroup_parent;
  std::vector<ProcessView> pod_init;  // empty, or the pod init
};

// What this machine lets the runtime do.
struct Features {
  bool user_namespaces = false;  // with idmapped mounts
  bool recursive_read_only = false;
  bool time_namespaces = false;
  bool cgroup_v2 = false;
  // Privileges the daemon lacks and works without, one sentence each.
  std::vector<std::string> degraded;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_VIEWS_H_
