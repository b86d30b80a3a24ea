#ifndef WARREN_RUNTIME_CGROUP_FAKE_TREE_H_
#define WARREN_RUNTIME_CGROUP_FAKE_TREE_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/cgroup/tree.h"
#include "runtime/cgroup/v2.h"

namespace warren::runtime {

// A directory that looks like cgroups: nothing in it is made by a kernel.
class FakeTree : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(mkdtemp(directory_), nullptr); }
  void TearDown() override {
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, directory_).ok());
  }
  std::string root() const { return directory_; }
  void MakeFile(const std::string& path, const std::string& text) {
    const std::string full = root() + path;
    auto dir = base::MakeDirs(AT_FDCWD, full.substr(0, full.rfind('/')), 0755);
    ASSERT_TRUE(dir.ok());
    auto fd = base::OpenAt(AT_FDCWD, full, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ASSERT_TRUE(fd.ok());
    ASSERT_TRUE(base::WriteFd(fd->get(), text).ok());
  }
  std::string Read(const std::string& path) {
    return base::ReadFileAt(AT_FDCWD, root() + path).value_or("missing");
  }
  CgroupTree Open(const std::string& sub = "") {
    auto fd = base::OpenAt(AT_FDCWD, root() + sub, O_PATH | O_DIRECTORY);
    return CgroupTree(fd.ok() ? *std::move(fd) : base::UniqueFd());
  }
  CgroupV2 V2() {
    auto fd = base::OpenAt(AT_FDCWD, root(), O_PATH | O_DIRECTORY);
    return CgroupV2(fd.ok() ? *std::move(fd) : base::UniqueFd());
  }

  char directory_[64] = "/tmp/cgroup_test.XXXXXX";
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_CGROUP_FAKE_TREE_H_
