#include "runtime/base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/base/status.h"

namespace warren::base {
namespace {

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/warren-file-test-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    path_ = path;
    dir_ = *OpenAt(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY);
  }
  void TearDown() override {
    EXPECT_TRUE(RemoveTree(AT_FDCWD, path_).ok());
    EXPECT_NE(access(path_.c_str(), F_OK), 0);
  }
  void Put(const std::string& name, const std::string& data) {
    ASSERT_TRUE(WriteFileAtomic(dir_.get(), name, data, 0644).ok());
  }

  std::string path_;
  UniqueFd dir_;
};

TEST_F(FileTest, OpenAtIsCloseOnExecAndCarriesErrno) {
  const auto fd = OpenAt(dir_.get(), "x", O_CREAT | O_WRONLY, 0600);
  ASSERT_TRUE(fd.ok());
  EXPECT_EQ(fcntl(fd->get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(GetErrno(OpenAt(dir_.get(), "nope", O_RDONLY).status()), ENOENT);
}

TEST_F(FileTest, FS_1_OpenInRootNeverLeaves) {
  Put("secret", "outside");
  ASSERT_TRUE(MakeDirs(dir_.get(), "root/etc", 0755).ok());
  const UniqueFd root = *OpenAt(dir_.get(), "root", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(WriteFileAtomic(root.get(), "inside", "in", 0644).ok());
  for (const auto& [link, points] :
       {std::pair<const char*, const char*>{"abs", "/inside"},
        {"up", "../../../../inside"},
        {"etc/rel", "../inside"}}) {
    ASSERT_EQ(symlinkat(points, root.get(), link), 0);
    const auto fd = OpenInRoot(root.get(), link, O_RDONLY);
    ASSERT_TRUE(fd.ok()) << link;
    EXPECT_EQ(*ReadFd(fd->get(), 100), "in");
  }
  ASSERT_EQ(symlinkat((path_ + "/secret").c_str(), root.get(), "out"), 0);
  EXPECT_EQ(GetErrno(OpenInRoot(root.get(), "out", O_RDONLY).status()), ENOENT);
  EXPECT_EQ(GetErrno(OpenInRoot(root.get(), "../secret", O_RDONLY).status()),
            ENOENT);
}

TEST_F(FileTest, FS_1_OpenBeneathRefusesLinksAndLeaving) {
  Put("plain", "x");
  ASSERT_EQ(symlinkat("plain", dir_.get(), "link"), 0);
  EXPECT_TRUE(OpenBeneath(dir_.get(), "plain", O_RDONLY).ok());
  EXPECT_EQ(GetErrno(OpenBeneath(dir_.get(), "link", O_RDONLY).status()),
            ELOOP);
  EXPECT_EQ(GetErrno(OpenBeneath(dir_.get(), "../x", O_RDONLY).status()),
            EXDEV);
  EXPECT_EQ(GetErrno(OpenBeneath(dir_.get(), "/etc", O_RDONLY).status()),
            EXDEV);
}

TEST_F(FileTest, MakeDirsMakesAllAndKeepsModes) {
  ASSERT_TRUE(MakeDirs(dir_.get(), "a/b//c/", 0750).ok());
  struct stat st;
  ASSERT_EQ(fstatat(dir_.get(), "a/b/c", &st, 0), 0);
  EXPECT_EQ(st.st_mode & 07777, 0750u);
  ASSERT_EQ(fchmodat(dir_.get(), "a", 0700, 0), 0);
  ASSERT_TRUE(MakeDirs(AT_FDCWD, path_ + "/a/b", 0777).ok());
  ASSERT_EQ(fstatat(dir_.get(), "a", &st, 0), 0);
  EXPECT_EQ(st.st_mode & 07777, 0700u);
  Put("file", "");
  EXPECT_EQ(GetErrno(MakeDirs(dir_.get(), "file/x", 0755).status()), ENOTDIR);
}

TEST_F(FileTest, ReadsHaveALimit) {
  Put("data", std::string(100000, 'x'));
  EXPECT_EQ(ReadFileAt(dir_.get(), "data", 100000)->size(), 100000u);
  EXPECT_EQ(ReadFileAt(dir_.get(), "data", 99999).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(FileTest, WriteFileAtomicReplacesAsAWhole) {
  for (const bool durable : {false, true}) {
    ASSERT_TRUE(WriteFileAtomic(dir_.get(), "r", "first", 0640, durable).ok());
    const UniqueFd old = *OpenAt(dir_.get(), "r", O_RDONLY);
    ASSERT_TRUE(WriteFileAtomic(dir_.get(), "r", "second", 0600, durable).ok());
    EXPECT_EQ(*ReadFd(old.get(), 100), "first");
    EXPECT_EQ(*ReadFileAt(dir_.get(), "r"), "second");
    struct stat st;
    ASSERT_EQ(fstatat(dir_.get(), "r", &st, 0), 0);
    EXPECT_EQ(st.st_mode & 07777, 0600u);
  }
  // Nothing temporary stays, also after a failure.
  ASSERT_EQ(mkdirat(dir_.get(), "taken", 0755), 0);
  EXPECT_FALSE(WriteFileAtomic(dir_.get(), "taken", "x", 0600).ok());
  auto names = *ListDir(dir_.get(), ".");
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"r", "taken"}));
}

TEST_F(FileTest, WriteControlNeedsAnExistingFile) {
  EXPECT_EQ(GetErrno(WriteControlAt(dir_.get(), "no", "1")), ENOENT);
  Put("knob", "0");
  EXPECT_TRUE(WriteControlAt(dir_.get(), "knob", "1").ok());
  EXPECT_EQ(*ReadFileAt(dir_.get(), "knob"), "1");
}

TEST_F(FileTest, SpreadFoldersSetsTheFlagWhereThereIsOne) {
  const auto flags = [&](const UniqueFd& dir) {
    int value = -1;
    ioctl(dir.get(), FS_IOC_GETFLAGS, &value);
    return value;
  };
  SpreadDirectories(dir_.get());
  struct statfs fs;
  ASSERT_EQ(fstatfs(dir_.get(), &fs), 0);
  if (fs.f_type != EXT4_SUPER_MAGIC) GTEST_SKIP() << "/tmp is not on ext4";
  EXPECT_NE(flags(dir_) & FS_TOPDIR_FL, 0);
  const UniqueFd sub = *MakeDirs(dir_.get(), "sub", 0755);
  EXPECT_EQ(flags(*OpenAt(sub.get(), ".", O_RDONLY)) & FS_TOPDIR_FL, 0);
  SpreadDirectories(dir_.get());
  SpreadDirectories(sub.get());  // O_PATH will do
  EXPECT_NE(flags(*OpenAt(sub.get(), ".", O_RDONLY)) & FS_TOPDIR_FL, 0);
}

TEST_F(FileTest, RemoveTreeFollowsNoLink) {
  ASSERT_TRUE(MakeDirs(dir_.get(), "keep", 0755).ok());
  Put("keep_file", "x");
  ASSERT_TRUE(MakeDirs(dir_.get(), "tree/a/b", 0755).ok());
  const UniqueFd tree = *OpenAt(dir_.get(), "tree", O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(symlinkat("../keep", tree.get(), "link"), 0);
  ASSERT_EQ(symlinkat("../../keep_file", tree.get(), "a/link"), 0);
  ASSERT_TRUE(WriteFileAtomic(tree.get(), "f", "x", 0400).ok());
  ASSERT_TRUE(RemoveTree(dir_.get(), "tree").ok());
  EXPECT_TRUE(RemoveTree(dir_.get(), "tree").ok());
  EXPECT_TRUE(OpenAt(dir_.get(), "keep", O_RDONLY).ok());
  EXPECT_TRUE(OpenAt(dir_.get(), "keep_file", O_RDONLY).ok());
}

TEST_F(FileTest, EXE_1_SealedMemfdCannotBeChanged) {
  const auto fd = SealedMemfd("test", "content", true);
  ASSERT_TRUE(fd.ok());
  EXPECT_EQ(*ReadFd(fd->get(), 100), "content");
  EXPECT_EQ(pwrite(fd->get(), "x", 1, 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_NE(ftruncate(fd->get(), 1), 0);
  EXPECT_EQ(fcntl(fd->get(), F_ADD_SEALS, F_SEAL_WRITE), -1);
  EXPECT_EQ(mmap(nullptr, 7, PROT_WRITE, MAP_SHARED, fd->get(), 0), MAP_FAILED);
  struct stat st;
  ASSERT_EQ(fstat(fd->get(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0500u);
}

TEST_F(FileTest, PipesAndCopiesAreCloseOnExec) {
  const auto pipe = MakePipe();
  ASSERT_TRUE(pipe.ok());
  ASSERT_TRUE(WriteFd(pipe->write.get(), "x").ok());
  for (const int fd :
       {pipe->read.get(), pipe->write.get(), DupFd(pipe->read.get())->get()}) {
    if (fd >= 0 && fcntl(fd, F_GETFD) >= 0) {
      EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    }
  }
}

}  // namespace
}  // namespace warren::base
