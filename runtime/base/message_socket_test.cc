#include "runtime/base/message_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::base {
namespace {

ino_t InodeOf(int fd) {
  struct stat st = {};
  fstat(fd, &st);
  return st.st_ino;
}

TEST(MessageSocket, CarriesWholeMessagesWithDescriptors) {
  auto ends = *SocketPair();
  const Pipe pipe = *MakePipe();
  ASSERT_TRUE(SendMessage(ends.first.get(), "one").ok());
  ASSERT_TRUE(SendMessage(ends.first.get(), std::string(1, '\0'),
                          {pipe.read.get(), pipe.write.get()})
                  .ok());
  auto first = ReceiveMessage(ends.second.get());
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->data, "one");
  EXPECT_TRUE(first->fds.empty());
  auto second = ReceiveMessage(ends.second.get());
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->data, std::string(1, '\0'));
  ASSERT_EQ(second->fds.size(), 2u);
  EXPECT_EQ(InodeOf(second->fds[0].get()), InodeOf(pipe.read.get()));
  EXPECT_EQ(fcntl(second->fds[0].get(), F_GETFD), FD_CLOEXEC);
}

TEST(MessageSocket, TakesTheLargestAndRefusesMore) {
  auto ends = *SocketPair();
  const std::string big(kMaxMessageBytes, 'x');
  const std::vector<int> fds(kMaxFdsPerMessage, ends.first.get());
  ASSERT_TRUE(SendMessage(ends.first.get(), big, fds).ok());
  auto message = ReceiveMessage(ends.second.get());
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->data, big);
  EXPECT_EQ(message->fds.size(), kMaxFdsPerMessage);
  EXPECT_EQ(GetErrno(SendMessage(ends.first.get(), big + "x")), EMSGSIZE);
  EXPECT_EQ(GetErrno(SendMessage(ends.first.get(), "")), EMSGSIZE);
  EXPECT_EQ(GetErrno(SendMessage(
                ends.first.get(), "x",
                std::vector<int>(kMaxFdsPerMessage + 1, ends.first.get()))),
            EMSGSIZE);
}

TEST(MessageSocket, EndOfFileIsAnEmptyMessage) {
  auto ends = *SocketPair();
  ASSERT_TRUE(SendMessage(ends.first.get(), "last words").ok());
  ends.first.reset();
  EXPECT_EQ(ReceiveMessage(ends.second.get())->data, "last words");
  EXPECT_EQ(ReceiveMessage(ends.second.get())->data, "");
  EXPECT_EQ(GetErrno(SendMessage(ends.second.get(), "x")), EPIPE);
}

TEST(MessageSocket, TimesOut) {
  auto ends = *SocketPair();
  EXPECT_EQ(
      ReceiveMessage(ends.first.get(), absl::Milliseconds(20)).status().code(),
      absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(
      ReceiveMessage(ends.first.get(), absl::ZeroDuration()).status().code(),
      absl::StatusCode::kDeadlineExceeded);
}

TEST(MessageSocket, ListensBelowAFolderOfAnyDepth) {
  char path[] = "/tmp/warren-socket-test-XXXXXX";
  ASSERT_NE(mkdtemp(path), nullptr);
  const std::string deep = std::string(path) + "/" + std::string(200, 'd');
  const UniqueFd dir = *MakeDirs(AT_FDCWD, deep, 0700);
  EXPECT_EQ(GetErrno(ConnectAt(dir.get(), "s").status()), ENOENT);
  {
    auto listener = ListenAt(dir.get(), "s");
    ASSERT_TRUE(listener.ok()) << listener.status();
    auto client = ConnectAt(dir.get(), "s");
    ASSERT_TRUE(client.ok()) << client.status();
    const UniqueFd server(
        accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(SendMessage(client->get(), "hello").ok());
    EXPECT_EQ(ReceiveMessage(server.get())->data, "hello");
  }
  EXPECT_EQ(GetErrno(ConnectAt(dir.get(), "s").status()), ECONNREFUSED);
  ASSERT_TRUE(RemoveTree(AT_FDCWD, path).ok());
}

// connect(2) would wait for ever: the queue holds one more than it is long.
TEST(MessageSocket, AListenerThatHangsCostsNoMoreThanTheTimeOut) {
  char path[] = "/tmp/warren-socket-test-XXXXXX";
  ASSERT_NE(mkdtemp(path), nullptr);
  const UniqueFd dir = *OpenAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  const UniqueFd listener = *ListenAt(dir.get(), "s");
  std::vector<UniqueFd> waiting;
  absl::Status last;
  while (waiting.size() < 100) {
    auto client = ConnectAt(dir.get(), "s", absl::Milliseconds(20));
    last = client.status();
    if (!last.ok()) break;
    waiting.push_back(*std::move(client));
  }
  EXPECT_TRUE(absl::IsDeadlineExceeded(last)) << last;
  EXPECT_GE(waiting.size(), 8u);
  // To the kernel, zero means for ever.
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      ConnectAt(dir.get(), "s", absl::ZeroDuration()).status()));
  ASSERT_TRUE(RemoveTree(AT_FDCWD, path).ok());
}

}  // namespace
}  // namespace warren::base
