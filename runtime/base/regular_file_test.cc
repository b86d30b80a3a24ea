#include "runtime/base/regular_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace warren::base {
namespace {

class RegularFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/regular.XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::string root_;
};

TEST_F(RegularFileTest, ReadsAWholeFileUpToItsLimit) {
  std::ofstream(root_ + "/file") << "12345";
  EXPECT_EQ(*ReadRegularFileAt(AT_FDCWD, root_ + "/file", 5), "12345");
  const auto longer = ReadRegularFileAt(AT_FDCWD, root_ + "/file", 4);
  EXPECT_TRUE(IsDamage(longer.status())) << longer.status();
  const auto opened = OpenRegularFileAt(AT_FDCWD, root_ + "/file");
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(*ReadRegularFd(opened->get(), 5), "12345");
}

TEST_F(RegularFileTest, WhatIsNoFileIsDamageAndNobodyWaits) {
  ASSERT_EQ(mkfifo((root_ + "/fifo").c_str(), 0600), 0);
  std::filesystem::create_directory(root_ + "/directory");
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket",
           root_.c_str());
  ASSERT_EQ(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                 sizeof(address)),
            0);
  std::filesystem::create_symlink("ring", root_ + "/ring");
  for (const std::string& path :
       {root_ + "/fifo", root_ + "/directory", root_ + "/socket",
        root_ + "/ring", std::string("/dev/zero")}) {
    const auto text = ReadRegularFileAt(AT_FDCWD, path);
    EXPECT_TRUE(absl::IsDataLoss(text.status())) << path << text.status();
    EXPECT_TRUE(IsDamage(text.status())) << path;
    const auto fd = OpenRegularFileAt(AT_FDCWD, path);
    EXPECT_TRUE(absl::IsDataLoss(fd.status())) << path << fd.status();
  }
}

TEST_F(RegularFileTest, ALookThatFailsIsNoDamage) {
  const auto missing = ReadRegularFileAt(AT_FDCWD, root_ + "/missing");
  EXPECT_EQ(GetErrno(missing.status()), ENOENT);
  EXPECT_FALSE(IsDamage(missing.status()));
  // The first page of a process is not mapped: a regular file that gives EIO.
  const auto broken = ReadRegularFileAt(AT_FDCWD, "/proc/self/mem");
  EXPECT_EQ(GetErrno(broken.status()), EIO) << broken.status();
  EXPECT_FALSE(IsDamage(broken.status()));
}

}  // namespace
}  // namespace warren::base
