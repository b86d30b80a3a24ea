#ifndef WARREN_RUNTIME_CGROUP_TREE_H_
#define WARREN_RUNTIME_CGROUP_TREE_H_

#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/deadline.h"
#include "runtime/base/unique_fd.h"

// Directories of one mounted cgroup hierarchy, v1 or v2. Paths are absolute
// below its root and were made by CgroupPath(): no "..", no symlinks.
// Thread-safe.
namespace warren::runtime {

class CgroupTree {
 public:
  // `root`: the hierarchy's mount point, O_PATH.
  explicit CgroupTree(base::UniqueFd root) : root_(std::move(root)) {}

  // Makes the directories that are missing. `prepare` is called for each one on
  // the way with its parent and itself before anything below it is made; also
  // for one that was there, as who made it may not have come that far yet, or
  // may have died before. Survives that somebody removes an empty parent
  // meanwhile. Returns the leaf.
  absl::StatusOr<base::UniqueFd> Make(
      const std::string& path,
      absl::FunctionRef<absl::Status(int parent, int directory)> prepare) const;
  // The same of one directory in an open one, without the patience.
  static absl::StatusOr<base::UniqueFd> MakeChild(int parent,
                                                  const std::string& name);
  // errno ENOENT when it is not there.
  absl::StatusOr<base::UniqueFd> Open(const std::string& path) const;
  bool Exists(const std::string& path) const;

  // Calls `visit` with each cgroup, `path` first ("." in itself, depth 0), then
  // those below it from above; false: not those below this one. `path` may be
  // gone. A container may have made any number at any depth: the walk has two
  // descriptors, less than 1 MiB, and no recursion (base/tree_cursor.h). The
  // first error ends it. kAborted: one vanished while the walk was in it, and
  // others may have been missed; kDeadlineExceeded after a minute.
  absl::Status Walk(const std::string& path,
                    absl::FunctionRef<absl::StatusOr<bool>(
                        int directory, absl::string_view name, size_t depth)>
                        visit) const;
  // cgroup.procs of `path` and of all below it; empty when it is gone. All or
  // an error: what Walk() may have missed is looked for again.
  absl::StatusOr<std::vector<pid_t>> Processes(const std::string& path) const;
  // The path of the cgroup, `path` or one below it, whose cgroup.procs lists
  // `pid`; nullopt when there is none, or none that a path of PATH_MAX leads
  // to.
  absl::StatusOr<std::optional<std::string>> DirectoryOf(
      const std::string& path, pid_t pid) const;
  // rmdir of all below `path` and of itself; missing is OK. The kernel lets
  // go of a cgroup a moment after its last process was reaped: waits for
  // that, at most two seconds since one went. 30,000 take some seconds;
  // `deadline` ends it early, and the next call goes on from there. As bounded
  // as Walk().
  absl::Status Remove(
      const std::string& path,
      const base::Deadline& deadline = base::Deadline::Never()) const;
  // One rmdir; whatever comes of it.
  void RemoveIfEmpty(const std::string& path) const;

  int root() const { return root_.get(); }

 private:
  base::UniqueFd root_;
};

// Waits until cgroup.events in the v2 directory says "populated 0". False when
// `timeout` passed first.
absl::StatusOr<bool> WaitUnpopulated(int directory, absl::Duration timeout);

// Whether it says so now; false when it cannot be read.
bool IsUnpopulated(int directory);

// SIGKILL to each of `listed()` by pidfd: a number is signalled only if it is
// still listed after its pidfd was opened, so that it cannot have become
// somebody else's (REL-9). Then waits for all of them, at most `timeout`. Has
// 256 descriptors at a time.
absl::Status KillListed(
    absl::FunctionRef<absl::StatusOr<std::vector<pid_t>>()> listed,
    absl::Duration timeout);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_CGROUP_TREE_H_
