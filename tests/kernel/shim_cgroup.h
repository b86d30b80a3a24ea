#ifndef WARREN_TESTS_KERNEL_SHIM_CGROUP_H_
#define WARREN_TESTS_KERNEL_SHIM_CGROUP_H_

#include <string>

#include "runtime/base/unique_fd.h"
#include "tests/kernel/shim_host.h"
#include "warren/shim/v1/shim.pb.h"

namespace warren::test {

// A cgroup of one test on whichever version the machine has: in the v1
// hierarchy of `controller`, or in the unified tree with that controller passed
// on to it. Its end removes the directory and fails the test when something is
// still in it. Thread-compatible.
class TestCgroup {
 public:
  explicit TestCgroup(const std::string& controller);
  ~TestCgroup();
  TestCgroup(const TestCgroup&) = delete;
  TestCgroup& operator=(const TestCgroup&) = delete;

  // Why there is none, for GTEST_SKIP; "" when it is there.
  const std::string& missing() const { return missing_; }
  bool v2() const { return v2_; }
  // As /proc/<pid>/cgroup of the machine shows it; of this object alone.
  const std::string& path() const { return path_; }
  // A control file; the test ends the program when it cannot be opened.
  base::UniqueFd Open(const std::string& file, int flags) const;
  std::string Read(const std::string& file) const;
  // Asks for a process to be born in it.
  void Place(shim::v1::CgroupPlacement* placement, FdList* fds) const;

 private:
  bool v2_ = false;
  std::string path_;
  std::string directory_;
  std::string missing_;
};

}  // namespace warren::test

#endif  // WARREN_TESTS_KERNEL_SHIM_CGROUP_H_
