#include "runtime/init/target.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "runtime/base/file.h"

namespace warren::init {
namespace {

class TargetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/warren-target-test-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    path_ = path;
    ASSERT_EQ(mkdir((path_ + "/root").c_str(), 0755), 0);
    root_ = base::UniqueFd(
        open((path_ + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  void TearDown() override {
    // Nothing was ever made beside the root.
    EXPECT_EQ(base::ListDir(AT_FDCWD, path_)->size(), 1u);
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, path_).ok());
  }
  void Link(const char* points, const char* name) {
    ASSERT_EQ(symlinkat(points, root_.get(), name), 0);
  }
  // Where the opened target is, below the root; "errno N" when it failed.
  std::string Open(const std::string& path, const TargetOptions& options) {
    int fd = -1;
    const int error = OpenTarget(root_.get(), path.c_str(), options, &fd);
    if (error != 0) return "errno " + std::to_string(error);
    const base::UniqueFd owner(fd);
    EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    char text[4096] = {};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    EXPECT_GT(readlink(link.c_str(), text, sizeof(text) - 1), 0);
    const std::string root = path_ + "/root";
    EXPECT_EQ(std::string(text).compare(0, root.size(), root), 0) << text;
    return std::string(text).substr(root.size());
  }
  std::string Errno(int error) { return "errno " + std::to_string(error); }

  std::string path_;
  base::UniqueFd root_;
};

constexpr TargetOptions kDirectory = {.create = true};
constexpr TargetOptions kFile = {.create = true, .is_file = true};
constexpr TargetOptions kOurs = {.create = true, .no_links = true};

TEST_F(TargetTest, MakesFoldersAndFiles) {
  EXPECT_EQ(Open("/a/b/c", {}), Errno(ENOENT));
  EXPECT_EQ(Open("/a/b/c", kDirectory), "/a/b/c");
  EXPECT_EQ(Open("/a/b/f", kFile), "/a/b/f");
  EXPECT_EQ(Open("//a/./b//f", {}), "/a/b/f");
  struct stat st;
  ASSERT_EQ(fstatat(root_.get(), "a/b/f", &st, 0), 0);
  EXPECT_TRUE(S_ISREG(st.st_mode));
  EXPECT_EQ(Open("/a/b/f/x", kDirectory), Errno(ENOTDIR));
  EXPECT_EQ(Open("/", kDirectory), "");
}

TEST_F(TargetTest, FS_1_DotsAndLinksStayInside) {
  EXPECT_EQ(Open("/../../x", kDirectory), "/x");
  EXPECT_EQ(Open("/x/../../../y/../z", kDirectory), "/z");
  Link("/abs", "l1");
  Link("../../../../etc", "l2");
  Link("x/../../../up", "l3");
  EXPECT_EQ(Open("/l1/v", kDirectory), "/abs/v");
  EXPECT_EQ(Open("/l2/v", kDirectory), "/etc/v");
  EXPECT_EQ(Open("/l3/v", kDirectory), "/up/v");
}

TEST_F(TargetTest, FS_1_DanglingLinksAreMadeWhereTheyPoint) {
  Link("/run/resolv.conf", "resolv");
  EXPECT_EQ(Open("/resolv", {}), Errno(ENOENT));
  EXPECT_EQ(Open("/resolv", kFile), "/run/resolv.conf");
  Link("/chain2", "chain1");
  Link("deep/er", "chain2");
  EXPECT_EQ(Open("/chain1/x", kDirectory), "/deep/er/x");
  // As /var/run -> /run: the same name on both sides is no loop.
  EXPECT_EQ(Open("/var", kDirectory), "/var");
  Link("/run2", "var/run2");
  EXPECT_EQ(Open("/var/run2/lock", kDirectory), "/run2/lock");
}

TEST_F(TargetTest, LoopsEnd) {
  Link("loop", "loop");
  Link("b", "a");
  Link("a/x", "b");
  EXPECT_EQ(Open("/loop/x", kDirectory), Errno(ELOOP));
  EXPECT_EQ(Open("/a/x", kDirectory), Errno(ELOOP));
}

TEST_F(TargetTest, FS_2_OurOwnTargetsTakeNoLink) {
  EXPECT_EQ(Open("/dev", kOurs), "/dev");
  Link("/dev", "link");
  EXPECT_EQ(Open("/link", kOurs), Errno(ELOOP));
  EXPECT_EQ(Open("/link/x", kOurs), Errno(ELOOP));
  Link("/nowhere", "dangling");
  EXPECT_EQ(Open("/dangling/x", kOurs), Errno(ELOOP));
  EXPECT_EQ(Open("/nowhere", {}), Errno(ENOENT));
}

TEST_F(TargetTest, TooLongIsAnError) {
  EXPECT_EQ(Open("/" + std::string(300, 'x'), kDirectory), Errno(ENAMETOOLONG));
  EXPECT_EQ(Open(std::string(5000, '/'), kDirectory), Errno(ENAMETOOLONG));
}

TEST_F(TargetTest, ParentGivesFolderAndName) {
  int fd = -1;
  const char* name = nullptr;
  ASSERT_EQ(OpenParent(root_.get(), "/dev/pts/0", true, &fd, &name), 0);
  close(fd);
  EXPECT_STREQ(name, "0");
  EXPECT_EQ(Open("/dev/pts", {}), "/dev/pts");
  for (const char* path : {"/", "/x/", "/x/.", "/x/..", "x", ""}) {
    EXPECT_EQ(OpenParent(root_.get(), path, true, &fd, &name), EINVAL) << path;
  }
}

}  // namespace
}  // namespace warren::init
