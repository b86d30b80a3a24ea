#include "runtime/base/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <utility>

namespace warren::base {
namespace {

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }
int NewFd() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

TEST(UniqueFd, ClosesOnDestructionResetAndAssignment) {
  const int a = NewFd();
  {
    const UniqueFd fd(a);
    EXPECT_TRUE(fd.valid());
    EXPECT_EQ(fd.get(), a);
  }
  EXPECT_FALSE(IsOpen(a));

  UniqueFd b(NewFd());
  const int b_number = b.get();
  b.reset();
  EXPECT_FALSE(b.valid());
  EXPECT_FALSE(IsOpen(b_number));

  UniqueFd c(NewFd());
  UniqueFd d(NewFd());
  const int c_number = c.get();
  const int d_number = d.get();
  c = std::move(d);
  EXPECT_EQ(c.get(), d_number);
  EXPECT_FALSE(IsOpen(c_number));
}

TEST(UniqueFd, SelfMoveAndReleaseKeepIt) {
  UniqueFd fd(NewFd());
  UniqueFd& same = fd;
  fd = std::move(same);
  ASSERT_TRUE(fd.valid());
  EXPECT_TRUE(IsOpen(fd.get()));
  const int number = fd.release();
  EXPECT_FALSE(fd.valid());
  EXPECT_TRUE(IsOpen(number));
  close(number);
}

TEST(UniqueFd, CloseKeepsErrno) {
  UniqueFd fd(NewFd());
  errno = ENOENT;
  fd.reset();
  EXPECT_EQ(errno, ENOENT);
}

}  // namespace
}  // namespace warren::base
