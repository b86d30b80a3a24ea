#ifndef WARREN_RUNTIME_SPECS_H_
#define WARREN_RUNTIME_SPECS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/process.h"
#include "runtime/device_spec.h"
#include "runtime/views.h"

// Part of the seam (runtime.h): what pods and containers are asked to be
// (specs), and what became of that (facts). Plain values only.
namespace warren::runtime {

// ---- Control groups -------------------------------------------------------

// The cgroup of a container, or of a pod init, in all hierarchies. Decided
// once, by Runtime::ResolveSandbox and ResolveContainer.
struct CgroupLeaf {
  CgroupLeaf() = default;
  // NOLINTBEGIN: a path alone; the driver's own parent is meant.
  CgroupLeaf(std::string p) : path(std::move(p)) {}
  CgroupLeaf(const char* p) : path(p) {}
  CgroupLeaf(std::string p, std::string parent)
      : path(std::move(p)), own_parent(std::move(parent)) {}
  // NOLINTEND

  // Below the root(s), "/a/b/<id>"; "" = not decided.
  std::string path;
  // cgroup v1: the parent in the hierarchies that no kubelet knows of.
  std::string own_parent;
  // Name of the cgroup below `path` that the program is in, where limits are:
  // those of `path` hold, those of this one are a copy to be read. "" = the
  // program is in `path` itself, as those of older agents and pod inits are.
  std::string inner;
  bool operator==(const CgroupLeaf&) const = default;
};

// ---- Resources ------------------------------------------------------------

// CRI's LinuxContainerResources as facts. 0 / empty = not asked for.
struct Resources {
  int64_t cpu_shares = 0;    // cgroup v1 scale, 2..262144
  int64_t cpu_quota_us = 0;  // -1 = no limit
  int64_t cpu_period_us = 0;
  int64_t memory_limit_bytes = 0;       // -1 = no limit
  int64_t memory_swap_limit_bytes = 0;  // memory plus swap, -1 = no limit
  int64_t pids_limit = 0;
  std::string cpuset_cpus;
  std::string cpuset_mems;
  std::optional<int64_t> oom_score_adj;
  std::map<std::string, uint64_t> hugepage_limits;  // "2MB" -> bytes
  std::map<std::string, std::string> unified;       // v2 only, file -> value
  bool operator==(const Resources&) const = default;
};

// ---- Seccomp --------------------------------------------------------------

enum class SeccompMode : uint8_t {
  kUnconfined,
  kRuntimeDefault,  // Warren's own profile
  kLocalhost,       // a profile of the node
};

struct SeccompChoice {
  SeccompMode mode = SeccompMode::kUnconfined;
  std::string localhost_path;  // absolute; kLocalhost only
  bool operator==(const SeccompChoice&) const = default;
};

// ---- Pod sandboxes --------------------------------------------------------

struct SandboxSpec {
  std::string id;                                 // 64 lower-case hex digits
  NamespaceMode network = NamespaceMode::kPod;    // kPod or kHost
  NamespaceMode ipc = NamespaceMode::kPod;        // kPod or kHost
  NamespaceMode pid = NamespaceMode::kContainer;  // kPod, kContainer, kHost
  // Both empty: the host's user namespace.
  std::vector<IdMapping> uid_mappings;
  std::vector<IdMapping> gid_mappings;
  // Every pod gets a time namespace where the kernel has them; offsets 0
  // unless asked.
  TimeOffsets time_offsets;
  bool time_offsets_requested = false;  // then a kernel without is an error
  // Content of the UTS namespace; with network kHost the host's UTS namespace
  // is used and this is only what /etc/hostname says.
  std::string hostname;
  // Dotted names, already checked to belong to a namespace private to the pod.
  std::vector<std::pair<std::string, std::string>> sysctls;
  // As in the request: "/a/b" (cgroupfs) or "x.slice" (systemd spelling);
  // empty = the runtime's own default parent. The runtime makes the cgroup when
  // it is missing, and writes no limits to it: they belong to whoever named it.
  std::string cgroup_parent;
  // The pod init's, with pid kPod; the containers' are beside it in any case.
  CgroupLeaf cgroup;
  // Contents of the pod's files, bound into every container.
  std::string resolv_conf;
  std::string hosts;
  // Asked for the pod's own process. The pod init runs without a filter: it
  // makes no system call once it runs (runtime/init/README.md). The profile is
  // read and compiled all the same. One that is no profile is refused, as a
  // container's is.
  SeccompChoice seccomp;
  bool operator==(const SandboxSpec&) const = default;
};

// One namespace as the kernel shows it.
struct NamespaceFact {
  NamespaceKind kind = NamespaceKind::kUser;
  uint64_t inode = 0;  // of nsfs; the namespace's identity until reboot
  bool is_host = false;
};

struct SandboxFacts {
  std::vector<NamespaceFact> namespaces;  // those the pod owns or shares
  // The pod init when pid is kPod, else pid 0.
  base::ProcessId pod_init;
};

// ---- Containers -----------------------------------------------------------

// Who the process runs as, before look-up in the image's passwd and group.
struct UserRequest {
  std::optional<int64_t> uid;
  std::optional<int64_t> gid;
  std::string username;    // wins over uid
  std::string image_user;  // USER of the image: "", "uid[:gid]", "name[:group]"
  std::vector<int64_t> supplemental_groups;
  bool strict_groups = false;  // do not merge the image's /etc/group
  bool operator==(const UserRequest&) const = default;
};

struct User {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;  // supplementary, primary gid included
  std::string home;              // from passwd, "/" if not there
  bool operator==(const User&) const = default;
};

enum class MountPropagation : uint8_t {
  kPrivate,
  kHostToContainer,
  kBidirectional,
};

struct MountSpec {
  std::string container_path;  // absolute
  // Absolute. A directory is made (0755) when nothing is there.
  std::string host_path;
  bool readonly = false;  // the top mount only
  MountPropagation propagation = MountPropagation::kPrivate;
  bool recursive_readonly = false;  // the top mount and every mount below it
  // The owners of files as the top mount shows them. Either both are given or
  // none. They may differ from the pod's mappings.
  std::vector<IdMapping> uid_mappings = {};
  std::vector<IdMapping> gid_mappings = {};
  // The request named no mappings; they follow from the pod's user namespace.
  // A source that the kernel cannot idmap (device nodes, procfs, NFS, before
  // Linux 6.3 tmpfs) is then mounted without them, and its files belong to
  // "nobody" inside.
  bool mapped_by_default = false;
  // Instead of host_path: the layers of an image, lowest first. The caller
  // keeps them. Such a mount is always read-only, nosuid, nodev and noexec.
  std::vector<std::string> image_layers = {};
  std::string image_sub_path = {};  // relative, in the image; "" = all of it
  bool nosuid = false;
  bool nodev = false;
  bool noexec = false;
  bool recursive = true;  // with all mounts below host_path
  // What is at host_path, and all below it, gets the label of the container's
  // files. Has no effect when the container has no label.
  bool selinux_relabel = false;
  bool operator==(const MountSpec&) const = default;
};

struct ContainerSpec {
  std::string id;
  SandboxSpec sandbox;  // that of its pod, as it was at RunPodSandbox
  CgroupLeaf cgroup;
  // Rootfs: unpacked layer directories, lowest first. The caller keeps them
  // for as long as the container exists.
  std::vector<std::string> layer_dirs;
  bool readonly_rootfs = false;

  std::vector<std::string> args;  // args[0] is looked up in PATH inside
  std::vector<std::string> env;   // "KEY=value", complete
  std::string cwd = "/";          // made (0755) inside if missing
  UserRequest user;
  bool tty = false;
  bool stdin_open = false;

  NamespaceMode pid = NamespaceMode::kContainer;
  std::string pid_target;  // container id, when pid is kTarget
  std::vector<MountSpec> mounts;
  // Paths that the image declares as volumes and that no mount replaces. Each
  // becomes a private directory with the image's content, which is removed
  // with the container.
  std::vector<std::string> volumes;
  std::vector<DeviceRequest> devices;
  uint64_t capabilities = 0;  // bounding = effective = permitted, bit n = CAP n
  uint64_t ambient_capabilities = 0;  // = inheritable; part of `capabilities`
  // Programs and exec sessions enter it at execve. When the kernel refuses it,
  // the start fails. Empty = none.
  std::string apparmor_profile;
  std::string selinux_label;  // user:role:type:level
  // Level of the files that the pod's containers share; empty = s0, which all
  // of them may use.
  std::string selinux_pod_level;
  bool privileged = false;  // has every device of the host's /dev as well
  bool no_new_privs = false;
  // A Localhost profile is read by CreateContainer and never again.
  SeccompChoice seccomp;
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;

  Resources resources;
  int64_t oom_score_adj = 0;

  // The CRI log. log_directory is absolute and is made (0755) when missing;
  // log_path is relative to it, without "..". Both empty: output is dropped.
  std::string log_directory;
  std::string log_path;
  bool operator==(const ContainerSpec&) const = default;
};

struct StartFacts {
  base::ProcessId process;  // container's first process, host numbers
  base::ProcessId shim;
  int64_t started_at_ns = 0;  // CLOCK_REALTIME
};

// What a request came to. The caller stores it and hands it back to
// AdoptContainer: another image or another device node at the same path does
// not change a container that exists.
struct ContainerFacts {
  User user;
  std::vector<DeviceNode> devices;  // what spec.devices came to
  // What StartContainer said; zeros before it, or when that was not recorded.
  StartFacts start;
};

// How a container's first process ended.
struct ExitRecord {
  int32_t exit_code = 255;     // 128 + n when killed by signal n
  int32_t signal = 0;          // 0 = it exited by itself
  bool oom_killed = false;     // the cgroup's OOM kill counter has grown
  int64_t finished_at_ns = 0;  // CLOCK_REALTIME
  // The shim died without leaving a record, so that nobody knows how the
  // process ended. exit_code is 255 then.
  bool lost = false;
};

enum class ContainerLiveness : uint8_t {
  kRunning,
  kExited,   // the shim left an exit record
  kUnknown,  // there is neither a live shim nor an exit record
};

struct AdoptedContainer {
  ContainerLiveness liveness = ContainerLiveness::kUnknown;
  StartFacts start;  // kRunning
  ExitRecord exit;   // kExited
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_SPECS_H_
