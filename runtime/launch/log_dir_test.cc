#include "runtime/launch/log_dir.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::runtime {
namespace {

using ::testing::HasSubstr;

// root/ is closed to others, root/open/ is not.
class LogDirTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "changes owners: needs root";
    root_ = testing::TempDir() + "/logdirXXXXXX";
    ASSERT_NE(mkdtemp(root_.data()), nullptr);
    ASSERT_EQ(mkdir(Path("open").c_str(), 0755), 0);
    ASSERT_EQ(chmod(Path("open").c_str(), 01777), 0);
    ASSERT_EQ(mkdir(Path("canary").c_str(), 0755), 0);
  }
  void TearDown() override {
    if (root_.empty()) return;
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, root_).ok());
  }

  std::string Path(const std::string& below) const {
    return root_ + "/" + below;
  }
  void Link(const std::string& target, const std::string& at) {
    ASSERT_EQ(symlink(target.c_str(), Path(at).c_str()), 0);
  }
  absl::Status Open(const std::string& directory,
                    const std::string& name = "web/0.log") {
    auto place = OpenLogPlace(Path(directory), name);
    if (!place.ok()) return place.status();
    place_ = *std::move(place);
    return absl::OkStatus();
  }
  // The directory that the log goes to is the one of that path.
  void ExpectPlace(const std::string& path) {
    struct stat want, got;
    ASSERT_EQ(stat(Path(path).c_str(), &want), 0) << path;
    ASSERT_EQ(fstat(place_.dir.get(), &got), 0);
    EXPECT_EQ(want.st_ino, got.st_ino) << path;
  }
  bool CanaryIsEmpty() const { return rmdir(Path("canary").c_str()) == 0; }

  std::string root_;
  LogPlace place_;
};

TEST_F(LogDirTest, WhatIsMissingIsMade) {
  ASSERT_TRUE(Open("a/b").ok());
  EXPECT_EQ(place_.name, "0.log");
  ExpectPlace("a/b/web");
  struct stat st;
  ASSERT_EQ(stat(Path("a").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0755u);
  ASSERT_TRUE(Open("a/b", "1.log").ok());
  ExpectPlace("a/b");
}

// /var/log on another disk.
TEST_F(LogDirTest, LinksThatOnlyRootCanHaveMadeAreFollowed) {
  Link("disk", "log");
  Link(Path("log"), "absolute");
  ASSERT_EQ(mkdir(Path("disk").c_str(), 0755), 0);
  ASSERT_TRUE(Open("absolute/pods/p").ok());
  ExpectPlace("disk/pods/p/web");
  Link("../canary/..", "disk/up");
  ASSERT_TRUE(Open("log/up/x").ok());
  ExpectPlace("x/web");
}

TEST_F(LogDirTest, LOG_1_PlantedLinksAreNotFollowed) {
  Link(Path("canary"), "open/roots");  // by root, where others can, too
  Link(Path("canary"), "strangers");
  ASSERT_EQ(lchown(Path("strangers").c_str(), 1000, 1000), 0);
  Link(Path("canary"), "open/both");
  ASSERT_EQ(lchown(Path("open/both").c_str(), 1000, 1000), 0);
  ASSERT_EQ(mkdir(Path("theirs").c_str(), 0755), 0);
  Link(Path("canary"), "theirs/link");
  ASSERT_EQ(chown(Path("theirs").c_str(), 1000, 1000), 0);
  for (const char* planted :
       {"open/roots", "strangers", "open/both", "theirs/link"}) {
    for (const std::string& directory :
         {std::string(planted), std::string(planted) + "/pods"}) {
      const absl::Status status = Open(directory);
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition)
          << directory << ": " << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr("is a symlink"));
    }
  }
  EXPECT_TRUE(CanaryIsEmpty());
}

// Below log_directory nobody has a reason to make one.
TEST_F(LogDirTest, LOG_1_BelowTheDirectoryNoLinkIsFollowed) {
  ASSERT_EQ(mkdir(Path("pod").c_str(), 0755), 0);
  Link(Path("canary"), "pod/web");
  EXPECT_FALSE(Open("pod").ok());
  EXPECT_TRUE(CanaryIsEmpty());
}

TEST_F(LogDirTest, LoopsAndFilesEnd) {
  Link("b", "a");
  Link("a", "b");
  EXPECT_EQ(base::GetErrno(Open("a")), ELOOP);
  ASSERT_TRUE(
      base::OpenAt(AT_FDCWD, Path("file"), O_WRONLY | O_CREAT, 0600).ok());
  EXPECT_EQ(base::GetErrno(Open("file/x")), ENOTDIR);
}

}  // namespace
}  // namespace warren::runtime
