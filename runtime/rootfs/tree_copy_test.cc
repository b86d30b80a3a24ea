#include "runtime/rootfs/tree_copy.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <string>

#include "runtime/base/file.h"
#include "runtime/base/unique_fd.h"

namespace warren::runtime {
namespace {

class TreeCopyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/warren-tree-copy-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    path_ = path;
    ASSERT_EQ(mkdir((path_ + "/from").c_str(), 0751), 0);
    ASSERT_EQ(mkdir((path_ + "/to").c_str(), 0700), 0);
  }
  void TearDown() override {
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, path_).ok());
  }
  void Put(const std::string& name, const std::string& data,
           mode_t mode = 0644) {
    const base::UniqueFd fd(open((path_ + "/from/" + name).c_str(),
                                 O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                                 0600));
    ASSERT_TRUE(base::WriteFd(fd.get(), data).ok());
    ASSERT_EQ(fchmod(fd.get(), mode), 0);
  }
  absl::Status Copy(TreeCopyOptions options = {}) {
    const base::UniqueFd from = Open("from");
    const base::UniqueFd to = Open("to");
    return CopyTree(from.get(), to.get(), &options);
  }
  base::UniqueFd Open(const char* name) {
    return base::UniqueFd(
        open((path_ + "/" + name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  struct stat Stat(const std::string& name) {
    struct stat st = {};
    EXPECT_EQ(lstat((path_ + "/to/" + name).c_str(), &st), 0) << name;
    return st;
  }

  std::string path_;
};

TEST_F(TreeCopyTest, EverythingButDevicesAndSockets) {
  Put("file", std::string(3 << 20, 'x'), 04711);
  ASSERT_EQ(mkdir((path_ + "/from/sub").c_str(), 0700), 0);
  Put("sub/in", "in");
  ASSERT_EQ(symlink("/etc/passwd", (path_ + "/from/link").c_str()), 0);
  ASSERT_EQ(mkfifo((path_ + "/from/fifo").c_str(), 0640), 0);
  ASSERT_EQ(mknod((path_ + "/from/socket").c_str(), S_IFSOCK | 0600, 0), 0);
  const base::UniqueFd file = base::UniqueFd(
      open((path_ + "/from/file").c_str(), O_RDONLY | O_CLOEXEC));
  const bool xattrs = fsetxattr(file.get(), "user.color", "red", 3, 0) == 0;
  ASSERT_TRUE(Copy().ok());
  EXPECT_EQ(Stat("").st_mode & 07777, 0751u);
  EXPECT_EQ(Stat("file").st_mode & 07777, 04711u);
  EXPECT_EQ(Stat("file").st_size, 3 << 20);
  EXPECT_EQ(base::ReadFileAt(AT_FDCWD, path_ + "/to/sub/in").value_or(""),
            "in");
  EXPECT_TRUE(S_ISLNK(Stat("link").st_mode));
  EXPECT_TRUE(S_ISFIFO(Stat("fifo").st_mode));
  EXPECT_EQ(access((path_ + "/to/socket").c_str(), F_OK), -1);
  char color[8] = {};
  if (xattrs) {
    EXPECT_EQ(getxattr((path_ + "/to/file").c_str(), "user.color", color,
                       sizeof(color)),
              3);
  }
}

TEST_F(TreeCopyTest, FS_8_EveryBoundHolds) {
  Put("a", "12345");
  Put("b", "12345");
  ASSERT_EQ(mkdir((path_ + "/from/1").c_str(), 0700), 0);
  ASSERT_EQ(mkdir((path_ + "/from/1/2").c_str(), 0700), 0);
  const struct {
    uint64_t bytes;
    uint64_t entries;
    int depth;
    bool ok;
  } cases[] = {
      {10, 4, 2, true}, {9, 4, 2, false}, {10, 3, 2, false}, {10, 4, 1, false}};
  for (const auto& c : cases) {
    TreeCopyOptions options;
    options.max_bytes = c.bytes;
    options.max_entries = c.entries;
    options.max_depth = c.depth;
    const absl::Status status = Copy(options);
    EXPECT_EQ(status.code(), c.ok ? absl::StatusCode::kOk
                                  : absl::StatusCode::kResourceExhausted)
        << status;
    ASSERT_TRUE(base::RemoveTree(AT_FDCWD, path_ + "/to").ok());
    ASSERT_EQ(mkdir((path_ + "/to").c_str(), 0700), 0);
  }
}

TEST_F(TreeCopyTest, OwnersAreShifted) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root: changes owners";
  Put("file", "x", 04755);
  ASSERT_EQ(chown((path_ + "/from/file").c_str(), 5, 70000), 0);
  ASSERT_EQ(chmod((path_ + "/from/file").c_str(), 04755), 0);
  TreeCopyOptions options;
  options.uid_mappings = options.gid_mappings = {{0, 100000, 65536}};
  ASSERT_TRUE(Copy(options).ok());
  EXPECT_EQ(Stat("file").st_uid, 100005u);
  EXPECT_EQ(Stat("file").st_gid, 70000u) << "not mapped";
  EXPECT_EQ(Stat("file").st_mode & 07777, 04755u);
  EXPECT_EQ(Stat("").st_uid, 100000u);
}

}  // namespace
}  // namespace warren::runtime
