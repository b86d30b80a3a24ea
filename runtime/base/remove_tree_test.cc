#include "runtime/base/remove_tree.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/giant_tree_testing.h"
#include "runtime/base/status.h"
#include "runtime/base/tree_cursor.h"

namespace warren::base {
namespace {

class RemoveTreeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::FastDirectory() + "/warren-remove-test-XXXXXX";
    ASSERT_NE(mkdtemp(path_.data()), nullptr);
    dir_ = *OpenAt(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY);
    ASSERT_EQ(mkdirat(dir_.get(), "tree", 0755), 0);
    tree_ = *OpenAt(dir_.get(), "tree", O_RDONLY | O_DIRECTORY);
  }
  void TearDown() override {
    EXPECT_TRUE(RemoveTree(AT_FDCWD, path_).ok());
    EXPECT_NE(access(path_.c_str(), F_OK), 0);
  }
  static void Put(int directory, const std::string& name) {
    ASSERT_TRUE(OpenAt(directory, name, O_WRONLY | O_CREAT, 0644).ok()) << name;
  }
  void ExpectRemoved() {
    const absl::Status removed = RemoveTree(dir_.get(), "tree");
    EXPECT_TRUE(removed.ok()) << removed;
    EXPECT_NE(faccessat(dir_.get(), "tree", F_OK, 0), 0);
  }

  std::string path_;
  UniqueFd dir_;
  UniqueFd tree_;
};

TEST_F(RemoveTreeTest, REL_18_AnyDepthOnASmallStackWithAHandfulOfDescriptors) {
  // More than a cursor remembers: it does not work without moving up.
  constexpr int kDeep = static_cast<int>(TreeCursor::kMaxLevels) + 1000;
  ASSERT_EQ(testing::MakeDeep(tree_.get(), kDeep, "deep"), 0);
  // A second one in its way, and a name of ours that was taken before.
  ASSERT_EQ(testing::MakeDeep(tree_.get(), 3000, "d"), 0);
  ASSERT_EQ(mkdirat(tree_.get(), ".warren-deep-0", 0755), 0);
  const testing::FewDescriptors few(6);
  EXPECT_TRUE(testing::OnSmallStack([&] { ExpectRemoved(); }));
}

TEST_F(RemoveTreeTest, REL_18_ManyNamesAreNeverAllInMemory) {
  constexpr int kNames = 20000;  // of 255 bytes: 5 MiB
  ASSERT_EQ(testing::MakeNames(tree_.get(), kNames, 255), 0);
  const testing::Growth growth;
  ExpectRemoved();
  EXPECT_LT(growth.Bytes(), 1 << 20);
}

TEST_F(RemoveTreeTest, REL_18_WideAndFullTreesTakeFewPasses) {
  for (int i = 0; i < 300; ++i) {
    const std::string name = absl::StrCat("directory-", i);
    ASSERT_EQ(mkdirat(tree_.get(), name.c_str(), 0), 0);
    const UniqueFd sub = *OpenAt(tree_.get(), name, O_RDONLY | O_DIRECTORY);
    for (const char* file : {"a", "b", "c"}) Put(sub.get(), file);
    ASSERT_EQ(mkdirat(sub.get(), "empty", 0), 0);
    ASSERT_EQ(symlinkat("/etc", sub.get(), "link"), 0);
    ASSERT_EQ(mknodat(sub.get(), "fifo", S_IFIFO | 0600, 0), 0);
  }
  ExpectRemoved();
}

TEST_F(RemoveTreeTest, REL_6_BranchesBeyondTheDepthAreRemovedToo) {
  // Directories with contents of their own beyond the depth.
  UniqueFd at = *DupFd(tree_.get());
  for (size_t i = 0; i < kMaxRemoveDepth; ++i) {
    ASSERT_EQ(mkdirat(at.get(), "d", 0755), 0);
    at = *OpenAt(at.get(), "d", O_RDONLY | O_DIRECTORY);
  }
  for (int i = 0; i < 5; ++i) {
    const std::string name = absl::StrCat("branch-", i);
    ASSERT_EQ(testing::MakeDeep(at.get(), 1500, name), 0);
  }
  ExpectRemoved();
}

TEST_F(RemoveTreeTest, REL_6_AProtectionMarkDoesNotMakeItLast) {
  ASSERT_EQ(mkdirat(tree_.get(), "sub", 0755), 0);
  const UniqueFd sub = *OpenAt(tree_.get(), "sub", O_RDONLY | O_DIRECTORY);
  Put(sub.get(), "file");
  Put(sub.get(), "log");
  const UniqueFd file = *OpenAt(sub.get(), "file", O_RDONLY);
  const UniqueFd log = *OpenAt(sub.get(), "log", O_RDONLY);
  for (const auto& [fd, mark] : {std::pair{file.get(), FS_IMMUTABLE_FL},
                                 {log.get(), FS_APPEND_FL},
                                 {sub.get(), FS_IMMUTABLE_FL},
                                 {tree_.get(), FS_APPEND_FL}}) {
    int flags = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) GTEST_SKIP() << "no marks";
    flags |= mark;
    if (ioctl(fd, FS_IOC_SETFLAGS, &flags) != 0) GTEST_SKIP() << "no marks";
  }
  EXPECT_NE(unlinkat(sub.get(), "file", 0), 0);
  ExpectRemoved();
}

TEST_F(RemoveTreeTest, REL_12_ADeadlineEndsItAndTheNextCallGoesOn) {
  ASSERT_EQ(testing::MakeNames(tree_.get(), 2000, 20), 0);
  const absl::Status late =
      RemoveTree(dir_.get(), "tree", Deadline::After(absl::ZeroDuration()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
  EXPECT_LT(ListDir(tree_.get(), ".")->size(), 2000u);
  EXPECT_GT(ListDir(tree_.get(), ".")->size(), 0u);
  const absl::Status cancelled = RemoveTree(
      dir_.get(), "tree", Deadline::Never().CancelledBy([] { return true; }));
  EXPECT_TRUE(absl::IsCancelled(cancelled)) << cancelled;
  ExpectRemoved();
}

TEST_F(RemoveTreeTest, REL_6_WhatIsMountedInItIsLeftAlone) {
  ASSERT_EQ(mkdirat(dir_.get(), "precious", 0755), 0);
  const UniqueFd precious =
      *OpenAt(dir_.get(), "precious", O_RDONLY | O_DIRECTORY);
  Put(precious.get(), "file");
  ASSERT_EQ(mkdirat(tree_.get(), "place", 0755), 0);
  // The same file system: the device number does not tell.
  for (const char* place : {"/tree/place", "/tree"}) {
    if (mount((path_ + "/precious").c_str(), (path_ + place).c_str(), nullptr,
              MS_BIND, nullptr) != 0) {
      GTEST_SKIP() << "may not mount";
    }
    const absl::Status refused = RemoveTree(dir_.get(), "tree");
    EXPECT_EQ(GetErrno(refused), EXDEV) << refused;
    EXPECT_EQ(umount2((path_ + place).c_str(), MNT_DETACH), 0);
    EXPECT_EQ(faccessat(precious.get(), "file", F_OK, 0), 0);
  }
  ExpectRemoved();
}

}  // namespace
}  // namespace warren::base
