#ifndef WARREN_TESTS_KERNEL_SHIM_HOST_H_
#define WARREN_TESTS_KERNEL_SHIM_HOST_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/base/deadline.h"
#include "runtime/base/unique_fd.h"
#include "runtime/launch/shim_client.h"
#include "tests/support/patience.h"
#include "warren/shim/v1/shim.pb.h"

// A stand-in for the agent's runtime, as small as the shim's protocol allows:
// private mount namespaces for template and pins, root file systems that hold
// busybox, launch requests. Everything lives in namespaces and directories of
// this process and goes away with it.
namespace warren::test {

// Host ids of the tests' user namespaces: [0, 65536) inside.
inline constexpr uint32_t kHostIds = 1'000'000;
inline constexpr uint32_t kIdCount = 65536;

// Collects descriptors of a launch; Add returns the place (from 1).
class FdList {
 public:
  uint32_t Add(base::UniqueFd fd);
  uint32_t AddCopy(int fd);
  std::vector<int> Numbers() const;

 private:
  std::vector<base::UniqueFd> fds_;
};

struct ContainerLaunch {
  shim::v1::LaunchRequest request;
  FdList fds;
  base::UniqueFd run_dir;
  base::UniqueFd log_dir;
  base::UniqueFd rootfs;
  shim::v1::ContainerLaunch* container() { return request.mutable_container(); }
};

// What became of a container that was run to its end.
struct ContainerEnd {
  absl::Status status;  // of the launch
  shim::v1::Exited exited;
  std::string log;     // raw CRI log
  std::string output;  // its text, stamps and tags taken off, P pieces joined
};

// A pod's namespaces, as the sandbox mode left them.
struct Pod {
  base::UniqueFd dir;  // the pin directory
  runtime::Launched launched;
  shim::v1::LaunchRequest request;
  bool user = false;
  base::UniqueFd OpenPin(const std::string& name) const;
};

class ShimTest : public ::testing::Test {
 protected:
  // Once per process: own mount and network namespace, template, pins.
  static void SetUpTestSuite();
  void SetUp() override;
  void TearDown() override;

  const runtime::ShimLauncher& launcher() const;
  // This test's own directory, on a tmpfs.
  const std::string& directory() const { return directory_; }

  // A sandbox request with these CLONE_NEW* flags, mappings included where
  // they have CLONE_NEWUSER; its pins go to a new directory.
  shim::v1::LaunchRequest SandboxRequest(uint64_t flags, FdList* fds,
                                         base::UniqueFd* pin_dir);
  Pod MakePod(uint64_t flags);
  // Ends the pod init and drops all pins of the pod.
  void DropPod(Pod* pod);

  // A container that runs `script` in busybox's shell as root. In a `pod` it
  // joins what is pinned there. Mounts: proc, dev with its nodes, pts.
  ContainerLaunch Container(const std::string& script,
                            const Pod* pod = nullptr);
  // Launches it and waits for its end.
  ContainerEnd Run(ContainerLaunch launch);
  ContainerEnd RunScript(const std::string& script, const Pod* pod = nullptr) {
    return Run(Container(script, pod));
  }
  // Launches it; fails the test when that does not work. The container is
  // killed at the end of the test.
  runtime::Launched Start(ContainerLaunch* launch);
  // Waits for the shim to leave, reaps it.
  void AwaitEnd(const runtime::Launched& launched);
  // The same after SIGKILL to the first process.
  void KillAndAwait(const runtime::Launched& launched);

  // An exec of `args` in the container of `target` with pipes for output.
  struct ExecPipes {
    base::UniqueFd out;
    base::UniqueFd err;
  };
  shim::v1::LaunchRequest ExecRequest(const runtime::Launched& target,
                                      std::vector<std::string> args, bool user,
                                      FdList* fds, ExecPipes* pipes);

 private:
  std::string directory_;
  int serial_ = 0;
  std::vector<int> running_;  // pidfds to kill, not owned
  std::vector<base::UniqueFd> kept_;
};

// The whole file dirfd/name, "" when it is not there.
std::string Slurp(int dirfd, const std::string& name);
// Everything until end of file.
std::string Drain(int fd);
// How long a wait that must succeed may take.
inline base::Deadline InTime() {
  return base::Deadline::After(Patience(absl::Seconds(10)));
}
// Text of a CRI log, pieces joined; fails the test on a malformed line.
std::string LogText(const std::string& log);
// Value of "Key:\t…" in /proc/<pid>/status.
std::string StatusField(pid_t pid, const std::string& key);
// Inode number of /proc/<pid>/ns/<name>, or of an open nsfs file.
uint64_t NamespaceInode(pid_t pid, const std::string& name);
uint64_t Inode(int fd);

}  // namespace warren::test

#endif  // WARREN_TESTS_KERNEL_SHIM_HOST_H_
