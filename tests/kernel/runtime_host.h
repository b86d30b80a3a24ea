#ifndef WARREN_TESTS_KERNEL_RUNTIME_HOST_H_
#define WARREN_TESTS_KERNEL_RUNTIME_HOST_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/pods/exec_sync.h"
#include "runtime/runtime.h"
#include "tests/support/patience.h"

// A Runtime in directories of its own below a temporary one, its cgroups below
// a parent of the program's own. The test program runs in network and mount
// namespaces of its own (a gtest environment sees to it before the first thread
// is started), so that nothing it mounts is seen outside or outlives it.
namespace warren::runtime {

// Parent of all cgroups of this program, in each hierarchy. Of this program
// alone: programs of several trees may run at a time.
std::string CgroupParent();

class RuntimeTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Of the next Runtime object; SetUp makes the first.
  int64_t default_pids_limit_ = 0;
  std::string default_cgroup_parent_ = CgroupParent();

  // Drops the Runtime object, as an agent that dies does, and makes a new one
  // on the same directories. Exits that were not collected yet stay collected.
  void Restart();

  Runtime& runtime() { return *runtime_; }
  std::string dir() const { return dir_; }
  std::string layer() const { return dir_ + "/layer"; }
  std::string log_text(const ContainerSpec& spec) const;

  // A pod of its own namespaces; id derived from the test and a serial number.
  SandboxSpec Pod();
  SandboxSpec UserNamespacePod();
  // Runs `script` with the layer's shell.
  ContainerSpec Shell(const SandboxSpec& pod, const std::string& script);

  // As the runtime says where it goes.
  SandboxSpec Resolved(SandboxSpec pod);
  absl::StatusOr<SandboxFacts> TryCreate(SandboxSpec pod);
  absl::StatusOr<ContainerFacts> TryCreate(ContainerSpec spec);
  // Each fails the test on error. What they made is removed by TearDown if
  // the test does not.
  SandboxFacts Create(const SandboxSpec& pod);
  ContainerFacts Create(const ContainerSpec& spec);
  StartFacts Start(const ContainerSpec& spec);
  ExitRecord WaitExit(const ContainerSpec& spec);
  // Create, Start, WaitExit; returns what it wrote to stdout.
  std::string Run(const ContainerSpec& spec, int expected_exit_code = 0);
  absl::StatusOr<agent::ExecSyncResult> ExecSync(
      const ContainerSpec& spec, const agent::ExecSyncCommand& command,
      const base::Deadline& caller = base::Deadline::Never());
  // ExecSync of a shell script.
  std::string Exec(const ContainerSpec& spec, const std::string& script);
  // First line of a control file of its cgroup, "missing" when it is not
  // there. The name of the file is `v2_file` on cgroup v2.
  std::string Control(const ContainerSpec& spec, const std::string& v1_file,
                      const std::string& v2_file);
  std::string Control(const ContainerSpec& spec, const std::string& file) {
    return Control(spec, file, file);
  }
  // Waits until the container's log holds `text`.
  void WaitLog(const ContainerSpec& spec, const std::string& text);
  void Remove(const ContainerSpec& spec);
  void Remove(const SandboxSpec& pod);

  bool HasExited(const std::string& id) {
    absl::MutexLock lock(&mutex_);
    return exits_.count(id) != 0;
  }
  // Pods whose pod init has ended unasked, in order.
  std::vector<std::string> PodInitEnds() {
    absl::MutexLock lock(&mutex_);
    return pod_init_ends_;
  }
  size_t ExitCount() {
    absl::MutexLock lock(&mutex_);
    return exit_count_;
  }

 private:
  std::string NewId(char kind);

  std::string dir_;
  agent::OutputBudget output_budget_;
  std::unique_ptr<Runtime> runtime_;
  absl::Mutex mutex_;
  std::map<std::string, ExitRecord> exits_ ABSL_GUARDED_BY(mutex_);
  size_t exit_count_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> pod_init_ends_ ABSL_GUARDED_BY(mutex_);
  std::vector<SandboxSpec> pods_;
  std::vector<ContainerSpec> containers_;
  int serial_ = 0;
};

// What must be the same before and after: mounts of this namespace,
// descriptors and threads of this process, its children, cgroups below ours.
struct Ledger {
  std::vector<std::string> mounts;
  std::vector<std::string> cgroups;
  std::vector<std::string> files;  // below `dir`
  int fds = 0;
  int children = 0;
  static Ledger Read(const std::string& dir);
};
void ExpectEqual(const Ledger& before, const Ledger& after);

// The payload of all stdout (or stderr) lines of a CRI log.
std::string LogPayload(const std::string& log, const std::string& stream);
// Inode of a namespace of a process, 0 when it is gone.
uint64_t NamespaceInode(pid_t pid, const char* name);

}  // namespace warren::runtime

#endif  // WARREN_TESTS_KERNEL_RUNTIME_HOST_H_
