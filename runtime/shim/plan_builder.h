#ifndef WARREN_RUNTIME_SHIM_PLAN_BUILDER_H_
#define WARREN_RUNTIME_SHIM_PLAN_BUILDER_H_

#include <deque>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "runtime/init/plan.h"
#include "runtime/shim/failure.h"
#include "runtime/shim/wire.h"

namespace warren::shim {

// Turns a launch request into the plain arrays of init::Plan, before the
// clone. Pure but for OpenNull and MountProcfs. Text of the plan points into
// the request, which must outlive it. Thread-compatible.
class PlanBuilder {
 public:
  explicit PlanBuilder(const LaunchInput& input) : input_(input) {}
  PlanBuilder(const PlanBuilder&) = delete;
  PlanBuilder& operator=(const PlanBuilder&) = delete;

  // Fills plan() from the container or exec part of the request. Refuses
  // (EINVAL, EBADF) text with NUL bytes, missing descriptors, relative paths
  // and unknown kinds, so that init can trust the plan.
  Failure BuildContainer();
  Failure BuildExec();

  // Opens the null device anew, for stdio; after a Build. EINVAL unless it is
  // the character device 1:3 (FS-4), EROFS unless its mount is read-only
  // (FS-11).
  Failure OpenNull(base::UniqueFd* null) const;

  // Mounts the procfs of a pid namespace that is joined, detached, where the
  // request brings none; after BuildContainer. What cannot be had this way
  // (before Linux 6.17) is mounted by a process inside, which is seen before it
  // is the program: containers that join a pid namespace made by an agent which
  // did not keep its procfs, or that of another container (README.md).
  Failure MountProcfs();

  // Where the first process has to be cloned to, and how.
  uint64_t clone_flags() const { return clone_flags_; }
  int cgroup_fd() const { return cgroup_fd_; }

  init::Plan& plan() { return plan_; }

 private:
  // Text without NUL; records a failure otherwise.
  const char* Text(const std::string& text, const char* what);
  // A descriptor that must be there; records a failure otherwise.
  int RequiredFd(uint32_t index, const char* what);
  // 0 = -1, else a descriptor that must be there.
  int OptionalFd(uint32_t index, const char* what);
  void Refuse(const char* what, int error);

  void AddProcess(const v1::Process& process);
  void AddLabels(const v1::Process& process);
  void AddStrings(
      const google::protobuf::RepeatedPtrField<std::string>& strings,
      const char* what, std::vector<const char*>* out);
  void AddCgroup(const v1::CgroupPlacement& placement);
  void AddJoins(const v1::ContainerLaunch& container);
  void AddMount(const v1::MountOp& op);
  void AddMountOptions(const v1::MountOp& op, init::MountStep* step);

  const LaunchInput& input_;
  Failure failure_;
  init::Plan plan_ = {};
  uint64_t clone_flags_ = 0;
  int cgroup_fd_ = -1;
  int null_fd_ = -1;

  std::string apparmor_exec_;
  std::vector<const char*> args_;
  std::vector<const char*> env_;
  std::vector<gid_t> groups_;
  std::vector<init::Limit> limits_;
  std::vector<int> cgroup_procs_;
  std::vector<init::Join> joins_;
  std::vector<init::MountStep> mounts_;
  std::deque<std::vector<init::FsOption>> options_;  // stable addresses
  std::deque<std::string> keys_;                     // stable addresses
  std::vector<base::UniqueFd> made_;
};

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_PLAN_BUILDER_H_
