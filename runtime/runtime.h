#ifndef WARREN_RUNTIME_RUNTIME_H_
#define WARREN_RUNTIME_RUNTIME_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/deadline.h"
#include "runtime/base/process.h"
#include "runtime/base/unique_fd.h"
#include "runtime/device_spec.h"
#include "runtime/exec.h"
#include "runtime/views.h"

// The seam between the agent and everything that makes pods and containers
// out of kernel objects. Plain values only: no CRI messages, no protobuf.
//
// The runtime keeps no database. Every kernel object's name follows from the
// object's id and spec, so that Stop/Remove work from the spec alone, also
// after a crash half-way (REL-3), and AdoptX() re-seats it after a restart.
namespace warren::runtime {

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
  // Contents of the pod's files, bound into every container.
  std::string resolv_conf;
  std::string hosts;
  // Asked for the pod's own process. The pod init runs without a filter: it
  // makes no system call once it runs (runtime/init/README.md). The profile is
  // read and compiled all the same. One that is no profile is refused, as a
  // container's is.
  SeccompChoice seccomp;
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
};

struct ContainerSpec {
  std::string id;
  SandboxSpec sandbox;  // that of its pod, as it was at RunPodSandbox
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

// ---- The runtime ----------------------------------------------------------

// Thread-safe. The caller serialises the calls on one object; StartExec, and
// calls that say so, may run beside all others. A call that makes something
// leaves nothing behind when it fails. Stop and Remove calls are idempotent:
// one that was cut short is asked again and goes on.
//
// Errors: kInvalidArgument names the field at fault, kFailedPrecondition what
// the host lacks; the rest is kInternal or kResourceExhausted with errno.
//
// Time. A call blocks on the disk and on system calls as long as those take;
// nobody can cut that short. Each call says what else it waits for and how long
// at most. A call with a `deadline` gives those waits up when it is over
// (kDeadlineExceeded) or cancelled (kCancelled, noticed within
// Deadline::kCancelPoll, in a wait for a cgroup within 200 ms). A deadline that
// is over when the call begins still lets the call do all that needs no wait:
// signals are sent. All waits run on the monotonic clock (REL-23).
class Runtime {
 public:
  // Called once for each container that was started or adopted as running,
  // from one of the runtime's own threads, after its last output is in the log
  // and its exit record is read. Several may run at a time, one for each
  // container. Must not call back into Remove/Start directly.
  using ExitCallback =
      std::function<void(const std::string& container_id, const ExitRecord&)>;
  // Called once when the pod init of a pod has ended and no StopSandbox asked
  // for it: the kernel has ended all of the pod's pid namespace. As an
  // ExitCallback; it may come before CreateSandbox has returned.
  using PodInitCallback = std::function<void(const std::string& sandbox_id)>;

  virtual ~Runtime() = default;

  // Do not block.
  virtual Features GetFeatures() const = 0;
  virtual void SetExitCallback(ExitCallback callback) = 0;
  virtual void SetPodInitCallback(PodInitCallback callback) = 0;

  // ---- Pod sandboxes ----

  // Makes and pins the pod's namespaces, /dev/shm and files. Waits for the shim
  // that makes the namespaces, at most 60 s; cannot be cancelled.
  virtual absl::StatusOr<SandboxFacts> CreateSandbox(
      const SandboxSpec& spec) = 0;
  // After a restart: are the pins (and the pod init) still what they were?
  // kFailedPrecondition: proven not to be. Any other error: nobody knows, ask
  // again. Waits for nothing.
  virtual absl::Status AdoptSandbox(const SandboxSpec& spec,
                                    const SandboxFacts& facts) = 0;
  // The pod's network namespace, for the netplugin. kFailedPrecondition when
  // it is gone. Waits for nothing.
  virtual absl::StatusOr<base::UniqueFd> OpenSandboxNetns(
      const std::string& sandbox_id) = 0;
  // Ends the pod init, unpins the namespaces, unmounts /dev/shm. Waits for the
  // death of the pod init and of what is in its cgroup, at most 10 s each.
  virtual absl::Status StopSandbox(const SandboxSpec& spec,
                                   const base::Deadline& deadline) = 0;
  // Stop plus all files of the sandbox. Waits as StopSandbox.
  virtual absl::Status RemoveSandbox(const SandboxSpec& spec,
                                     const base::Deadline& deadline) = 0;

  // ---- Containers ----

  // Makes the rootfs, resolves the user, opens every host path. Nothing of the
  // program runs. Copies the content of volumes. Waits for the shim that makes
  // the user namespace of a mount with mappings of its own, at most 60 s for
  // each such pair of mappings; cannot be cancelled.
  virtual absl::StatusOr<ContainerFacts> CreateContainer(
      const ContainerSpec& spec) = 0;
  // After a restart of the agent, for a container in any state: makes it known
  // again. What runs is watched; what was never started is prepared again; what
  // is proven to have lost its shim is killed. Waits for the answer of a shim
  // that facts.start does not name until `deadline`, for the death of what has
  // none; at most 10 s each. An error: nobody knows, nothing was touched, ask
  // again.
  virtual absl::StatusOr<AdoptedContainer> AdoptContainer(
      const ContainerSpec& spec, const ContainerFacts& facts,
      const base::Deadline& deadline) = 0;
  // Returns after execve of the program. Waits for the shim, at most 60 s; a
  // start that was given up is undone, and the container may be started again.
  virtual absl::StatusOr<StartFacts> StartContainer(
      const std::string& container_id, const base::Deadline& deadline) = 0;
  // Limits of a created or running container, changed at once and all or
  // nothing: from what its cgroup has (`from`) to what it shall have (`to`).
  // A limit that only `from` has goes back to the kernel's default, so that
  // an update cut short by a crash can be taken back from the record alone.
  // oom_score_adj is not touched. kInvalidArgument names the field whose value
  // the kernel refuses; kFailedPrecondition also when more is in use than the
  // new limit allows. The kernel may take seconds to reclaim memory below a
  // new limit, and nothing cuts that short: `deadline` is asked once, before
  // anything is written.
  virtual absl::Status UpdateResources(const std::string& container_id,
                                       const Resources& from,
                                       const Resources& to,
                                       const base::Deadline& deadline) = 0;
  // To the first process only. Waits for nothing.
  virtual absl::Status SignalContainer(const std::string& container_id,
                                       int signal) = 0;
  // SIGKILL to every process of its cgroup, whatever pid namespace; what is
  // frozen in it is thawed. Waits for nothing: OK says that the signals were
  // sent. What forked just then needs another call. kFailedPrecondition names a
  // frozen cgroup above the container's (cgroup v1): all dies once that thaws.
  virtual absl::Status KillContainer(const std::string& container_id) = 0;
  // Waits until no process is left in its cgroup, until `deadline`; what still
  // lives is sent SIGKILL again. May run beside all other calls.
  // kFailedPrecondition as KillContainer.
  virtual absl::Status AwaitContainerDeath(const std::string& container_id,
                                           const base::Deadline& deadline) = 0;
  // Kills what runs; removes cgroup, rootfs and run directory. Logs stay. Waits
  // for the death of the processes, then for the shim to drain the output, then
  // for the exit callback; at most 10 s each. A shim that takes longer is
  // killed.
  virtual absl::Status RemoveContainer(const ContainerSpec& spec,
                                       const base::Deadline& deadline) = 0;
  // Closes the log and opens its path anew (create, append). Waits for the
  // shim's answer, at most 10 s; may run beside all other calls.
  virtual absl::Status ReopenLog(const std::string& container_id,
                                 const base::Deadline& deadline) = 0;

  // ---- Exec sessions ----

  // Returns after execve of the program, in the namespaces, the cgroup and with
  // the rights of the container. Waits for the session's shim, at most 60 s; a
  // start that was given up is undone. kFailedPrecondition when the container
  // does not run; the runtime's error when the program cannot be executed.
  virtual absl::StatusOr<std::unique_ptr<ExecProcess>> StartExec(
      const std::string& container_id, ExecSpec spec,
      const base::Deadline& deadline) = 0;

  // ---- What the kernel shows ----

  // Wait for nothing. What ends while it is looked at is left out.
  virtual absl::StatusOr<SandboxView> InspectSandbox(
      const SandboxSpec& spec) = 0;
  virtual absl::StatusOr<ContainerView> InspectContainer(
      const std::string& container_id) = 0;

  // Ids of sandboxes and containers of which kernel objects or files exist
  // below our own directories; for reconcile. Wait for nothing.
  virtual std::vector<std::string> ListSandboxIds() = 0;
  virtual std::vector<std::string> ListContainerIds() = 0;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_RUNTIME_H_
