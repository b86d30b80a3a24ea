// Overlays by every way a kernel may know, with and without an upper directory.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "runtime/base/file.h"
#include "runtime/rootfs/overlay.h"
#include "runtime/rootfs/rootfs.h"

namespace warren::runtime {
namespace {

class OverlayTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: mounts";
    char path[] = "/tmp/warren-overlay-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    path_ = path;
    for (const char* sub : {"/low", "/high", "/dir"}) {
      ASSERT_EQ(mkdir((path_ + sub).c_str(), 0755), 0);
    }
    Put("/low/both", "low");
    Put("/low/one", "one");
    Put("/high/both", "high");
  }
  void TearDown() override {
    if (path_.empty()) return;
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, path_).ok());
  }
  void Put(const std::string& name, const std::string& data) {
    const auto fd =
        base::OpenAt(AT_FDCWD, path_ + name, O_WRONLY | O_CREAT | O_EXCL, 0644);
    ASSERT_TRUE(fd.ok()) << fd.status();
    ASSERT_TRUE(base::WriteFd(fd->get(), data).ok());
  }
  static std::string Read(int root, const char* name) {
    return base::ReadFileAt(root, name).value_or("none");
  }

  std::string path_;
};

TEST_P(OverlayTest, ReadOnlyWithoutAnUpperFolder) {
  OverlayOptions options;
  options.layer_dirs = {path_ + "/low", path_ + "/high"};
  options.dir = path_ + "/dir";
  options.old_kernel = GetParam();
  const auto overlay = MakeOverlay(options);
  ASSERT_TRUE(overlay.ok()) << overlay.status();
  const int root = overlay->mount.get();
  EXPECT_EQ(Read(root, "both") + Read(root, "one"), "highone");
  EXPECT_EQ(mkdirat(root, "new", 0755), -1);
  EXPECT_EQ(errno, EROFS);
  EXPECT_TRUE(base::ListDir(AT_FDCWD, path_ + "/dir")->empty());
}

TEST_P(OverlayTest, ARootfsTakesChanges) {
  RootfsOptions options;
  options.layer_dirs = {path_ + "/low", path_ + "/high"};
  options.dir = path_ + "/rootfs";
  options.old_kernel = GetParam();
  const auto rootfs = MakeRootfs(options);
  ASSERT_TRUE(rootfs.ok()) << rootfs.status();
  const int root = rootfs->mount.get();
  EXPECT_EQ(Read(root, "both"), "high");
  EXPECT_EQ(mkdirat(root, "new", 0755), 0);
  EXPECT_EQ(access((path_ + "/rootfs/upper/new").c_str(), F_OK), 0);
  EXPECT_EQ(access((path_ + "/high/new").c_str(), F_OK), -1);
}

INSTANTIATE_TEST_SUITE_P(Kernels, OverlayTest, ::testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "Old" : "New";
                         });

}  // namespace
}  // namespace warren::runtime
