#ifndef WARREN_RUNTIME_NAMESPACES_MOUNT_NAMESPACES_H_
#define WARREN_RUNTIME_NAMESPACES_MOUNT_NAMESPACES_H_

#include <absl/base/thread_annotations.h>
#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "runtime/runtime.h"

// The agent's two private mount namespaces. They keep the host's mount table
// small: a container's mount namespace is a copy of another one, and pays for
// every mount in it.
//
//   template   tmpfs /            a fresh procfs and sysfs, fully visible:
//   without
//           +- proc, sys       them the kernel lets no user namespace mount its
//           +- null            own (mount_too_revealing). Each container starts
//                              as a copy of it; all else arrives by descriptor.
//                              null/dev/null covers masked files.
//   pins    tmpfs /
//           +- <sandbox id>/   one tmpfs for each pod, so that a single
//              +- user, pid, net, ipc, uts, time    umount2 drops all its pins
//              +- shm          /dev/shm of the pod
//              +- proc         procfs of the pod's pid namespace, mounted by
//              its
//                              pod init
//              +- files        hostname, hosts, resolv.conf (pod_files.h)
//
// The template lives as long as a descriptor of it. The pins outlive a kill of
// the agent: their nsfs file is bind-mounted at <run>/pins.mnt.
namespace warren::runtime {

// Thread-safe. Owns a thread that lives inside the pins namespace; the thread
// shares no file system state (CLONE_FS) with the rest of the process. All
// calls but OpenPin() and Pods() wait for their turn on that thread and for a
// few system calls there; they cannot be cancelled. Errors are errno's unless
// said otherwise.
class MountNamespaces {
 public:
  // Makes the template; finds the pins at <run_dir>/pins.mnt or makes them.
  static absl::StatusOr<std::unique_ptr<MountNamespaces>> Open(
      const std::string& run_dir);
  // Unpins the pins namespace if no pod is left in it.
  ~MountNamespaces();
  MountNamespaces(const MountNamespaces&) = delete;
  MountNamespaces& operator=(const MountNamespaces&) = delete;

  // nsfs descriptors, borrowed.
  int template_ns() const { return template_ns_.get(); }
  int pins() const { return pins_.get(); }
  // Where the pins are pinned on the host, links followed.
  const std::string& pin_path() const { return pin_path_; }
  // O_PATH, borrowed: the null device that is in the template (null_device.h),
  // through a mount of its own that is nowhere.
  int null() const { return null_.get(); }

  // Makes the directory of a new pod and returns it, O_PATH. It is empty but
  // for `files_fd`, a detached mount (borrowed; -1 = none). What an earlier pod
  // left under that name is dropped first.
  absl::StatusOr<base::UniqueFd> AddPod(const std::string& id, int files_fd);
  // Drops every pin, /dev/shm and the files of the pod; missing is OK.
  absl::Status RemovePod(const std::string& id);
  // nsfs descriptor of a pinned namespace. kFailedPrecondition: it is proven
  // not to be there; any other error: nobody knows.
  absl::StatusOr<base::UniqueFd> OpenPin(const std::string& id,
                                         NamespaceKind kind) const;
  // A detached copy of the pod's /dev/shm, to be attached anywhere.
  absl::StatusOr<base::UniqueFd> CloneShm(const std::string& id);
  // The same of the procfs of its pid namespace. kNotFound: the pod has none of
  // its own, or was made by an agent that kept none.
  absl::StatusOr<base::UniqueFd> CloneProcfs(const std::string& id);
  // The same of one of its files: a name of kPodFiles (mounts/plan.h).
  absl::StatusOr<base::UniqueFd> CloneFile(const std::string& id,
                                           const std::string& name);
  // A detached copy of what is at `path` inside the detached mount `mount_fd`
  // (RESOLVE_IN_ROOT): kernels before 6.15 copy only what is mounted
  // somewhere, so it is for a moment.
  absl::StatusOr<base::UniqueFd> CloneBelow(int mount_fd,
                                            const std::string& path);
  // Names of all pods' directories.
  absl::StatusOr<std::vector<std::string>> Pods() const;

 private:
  MountNamespaces() = default;
  absl::StatusOr<base::UniqueFd> Clone(const std::string& path);
  absl::Status OpenPins(const std::string& run_dir);
  // Runs `work` on the thread inside the pins, waits, and returns its result.
  absl::Status InPins(absl::FunctionRef<absl::Status()> work);
  void Serve();

  base::UniqueFd template_ns_;
  base::UniqueFd null_;
  base::UniqueFd pins_;
  base::UniqueFd pins_root_;  // O_PATH, "/" of the pins namespace
  std::string pin_path_;

  absl::Mutex mutex_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_NAMESPACES_MOUNT_NAMESPACES_H_
