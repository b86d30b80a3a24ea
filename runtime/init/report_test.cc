#include "runtime/init/report.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "runtime/base/message_socket.h"
#include "runtime/init/init.h"

namespace warren::init {
namespace {

TEST(Report, TravelsWithDescriptors) {
  auto ends = *base::SocketPair();
  Report sent = {};
  sent.kind = ReportKind::kStdio;
  sent.pid = 42;
  CopyText(sent.step, sizeof(sent.step), "mount");
  CopyText(sent.detail, sizeof(sent.detail), std::string(1000, 'd').c_str());
  const int fds[2] = {ends.first.get(), ends.second.get()};
  ASSERT_EQ(SendReport(ends.first.get(), sent, fds, 2), 0);
  Report got;
  int got_fds[kStdioFdsMax];
  ASSERT_EQ(ReceiveReport(ends.second.get(), &got, got_fds), 1);
  EXPECT_EQ(got.pid, 42);
  EXPECT_STREQ(got.step, "mount");
  EXPECT_EQ(strlen(got.detail), sizeof(got.detail) - 1);
  EXPECT_EQ(fcntl(got_fds[0], F_GETFD), FD_CLOEXEC);
  EXPECT_GE(got_fds[1], 0);
  EXPECT_EQ(got_fds[2], -1);
  close(got_fds[0]);
  close(got_fds[1]);
  ends.first.reset();
  EXPECT_EQ(ReceiveReport(ends.second.get(), &got, got_fds), 0);
  EXPECT_EQ(SendReport(ends.second.get(), sent, nullptr, 0), EPIPE);
}

TEST(Report, AnotherSizeIsAnError) {
  auto ends = *base::SocketPair();
  ASSERT_EQ(send(ends.first.get(), "x", 1, 0), 1);
  Report got;
  int fds[kStdioFdsMax];
  EXPECT_EQ(ReceiveReport(ends.second.get(), &got, fds), -1);
  EXPECT_EQ(errno, EBADMSG);
}

TEST(Report, TooManyDescriptorsAreRefusedAndClosed) {
  auto ends = *base::SocketPair();
  const Report sent = {};
  // SendReport() has no room for them.
  iovec iov = {const_cast<Report*>(&sent), sizeof(sent)};
  for (const size_t count : {kStdioFdsMax + 1, kStdioFdsMax + 3}) {
    alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = {};
    msghdr header = {};
    header.msg_iov = &iov;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    for (size_t i = 0; i < count; ++i) {
      const int fd = ends.first.get();
      memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
    }
    ASSERT_GT(sendmsg(ends.first.get(), &header, 0), 0);
    const int free_before = fcntl(ends.first.get(), F_DUPFD, 0);
    close(free_before);
    Report got;
    int fds[kStdioFdsMax];
    EXPECT_EQ(ReceiveReport(ends.second.get(), &got, fds), -1);
    EXPECT_EQ(errno, EBADMSG);
    for (const int fd : fds) EXPECT_EQ(fd, -1);
    const int free_after = fcntl(ends.first.get(), F_DUPFD, 0);
    close(free_after);
    EXPECT_EQ(free_after, free_before) << "one was kept";
  }
}

TEST(Steps, NamesAreUniqueAndFitTheReport) {
  size_t count = 0;
  const Step* steps = Steps(&count);
  ASSERT_GT(count, 20u);
  for (size_t i = 0; i < count; ++i) {
    EXPECT_LT(strlen(steps[i].name), sizeof(Report::step));
    EXPECT_TRUE(steps[i].container || steps[i].exec);
    for (size_t j = 0; j < i; ++j) EXPECT_STRNE(steps[i].name, steps[j].name);
  }
  // EXE-2 first, EXE-7 last, with nothing but the last fork and execve behind
  // it.
  EXPECT_STREQ(steps[0].name, "dumpable");
  EXPECT_STREQ(steps[count - 3].name, "seccomp");
  EXPECT_STREQ(steps[count - 2].name, "enter");
  EXPECT_STREQ(steps[count - 1].name, "execve");
}

}  // namespace
}  // namespace warren::init
