// The accept loop against real sockets, by a server that has it.
#include "agent/transport/unix_listener.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/transport/server_testing.h"

namespace warren::agent {
namespace {

TEST_F(ServerTest, API_1_SocketAndFolderAreRootsAlone) {
  ASSERT_EQ(Start(8), "ready");
  struct stat facts;
  ASSERT_EQ(stat(socket_.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0600u);
  ASSERT_EQ(stat((directory_ + "/run").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0700u);
  EXPECT_TRUE(Call().ok());
  EXPECT_EQ(Stop(), 0);
  EXPECT_NE(stat(socket_.c_str(), &facts), 0);
}

TEST_F(ServerTest, API_1_StrangersAreRefusedWhateverTheModeSays) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  ASSERT_EQ(Start(8), "ready");
  AsStranger(kNobody, [&] { EXPECT_FALSE(Connect(socket_).valid()); });
  chmod((directory_ + "/run").c_str(), 0711);
  chmod(socket_.c_str(), 0666);
  AsStranger(kNobody, [&] {
    const UniqueFd connection = Connect(socket_);
    ASSERT_TRUE(connection.valid());
    EXPECT_TRUE(ClosedWithin(connection.get(), kLong));
  });
  EXPECT_TRUE(Call().ok());
}

TEST_F(ServerTest, API_1_MembersOfTheGroupMayConnect) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  constexpr gid_t kGroup = 54321;
  ASSERT_EQ(Start(8, 0, absl::StrCat(kGroup)), "ready");
  struct stat facts;
  ASSERT_EQ(stat(socket_.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0660u);
  EXPECT_EQ(facts.st_gid, kGroup);
  AsStranger(kGroup, [&] {
    const UniqueFd connection = Connect(socket_);
    ASSERT_TRUE(connection.valid());
    EXPECT_TRUE(Speaks(connection.get()));
  });
  AsStranger(kNobody, [&] { EXPECT_FALSE(Connect(socket_).valid()); });
}

// What counts are the groups that the process had when it connected, however
// many; the mode of the file does not.
TEST_F(ServerTest, API_1_SupplementaryGroupsAreThoseOfTheProcess) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  constexpr gid_t kGroup = 54321;
  ASSERT_EQ(Start(8, 0, absl::StrCat(kGroup)), "ready");
  chmod((directory_ + "/run").c_str(), 0711);
  chmod(socket_.c_str(), 0666);
  std::vector<gid_t> others;
  for (gid_t g = 0; g < 200; ++g) others.push_back(60000 + g);
  std::vector<gid_t> many = others;
  many.push_back(kGroup);
  for (const std::vector<gid_t>& groups : {std::vector<gid_t>{kGroup}, many}) {
    AsStranger(kNobody, groups, [&] {
      const UniqueFd connection = Connect(socket_);
      ASSERT_TRUE(connection.valid());
      EXPECT_TRUE(Speaks(connection.get())) << groups.size();
    });
  }
  for (const std::vector<gid_t>& groups : {std::vector<gid_t>(), others}) {
    AsStranger(kNobody, groups, [&] {
      const UniqueFd connection = Connect(socket_);
      ASSERT_TRUE(connection.valid());
      EXPECT_TRUE(ClosedWithin(connection.get(), kLong)) << groups.size();
    });
  }
}

TEST_F(ServerTest, TwoEndpointsServeAtOnceAndAreDrainedTogether) {
  const std::string first = socket_;
  const std::string second = directory_ + "/other/w.sock";
  socket_ = first + "," + second;
  ASSERT_EQ(Start(/*max_connections=*/2), "ready");
  // Each has a limit of its own.
  std::vector<UniqueFd> held;
  for (const std::string& path : {first, first, second, second}) {
    held.push_back(Connect(path));
    EXPECT_TRUE(Speaks(held.back().get())) << path;
  }
  for (const std::string& path : {first, second}) {
    const UniqueFd third = Connect(path);
    EXPECT_TRUE(ClosedWithin(third.get(), kLong)) << path;
  }
  held.clear();
  // A call at each that does not end by itself, and one that does.
  std::vector<std::thread> callers;
  std::array<grpc::Status, 2> ends;
  for (size_t i = 0; i < ends.size(); ++i) {
    socket_ = i == 0 ? first : second;
    EXPECT_TRUE(Call().ok()) << socket_;
    callers.emplace_back([&ends, i, channel = Channel()] {
      api::InspectPodSandboxResponse reply;
      ends[i] = Call(channel, "slow", 2 * kLong, &reply);
    });
    EXPECT_EQ(ReadLine(), "slow");
  }
  const absl::Time start = absl::Now();
  EXPECT_EQ(Stop(), 0);
  EXPECT_LT(absl::Now() - start, kLong);
  for (std::thread& caller : callers) caller.join();
  for (const grpc::Status& end : ends) EXPECT_FALSE(end.ok());
  EXPECT_NE(access(first.c_str(), F_OK), 0);
  EXPECT_NE(access(second.c_str(), F_OK), 0);
}

TEST_F(ServerTest, AnEndpointThatCannotBeServedEndsTheStart) {
  const std::string first = socket_;
  socket_ = first + "," + first;
  EXPECT_TRUE(absl::StrContains(Start(8), "another program listens there"));
  Stop();
  EXPECT_NE(access(first.c_str(), F_OK), 0);
}

TEST_F(ServerTest, StaleSocketIsReplacedALiveOneIsNot) {
  ASSERT_EQ(Start(8), "ready");
  ASSERT_TRUE(base::SendSignal(daemon_.pidfd.get(), SIGKILL).ok());
  Stop();
  ASSERT_EQ(access(socket_.c_str(), F_OK), 0);
  ASSERT_EQ(Start(8), "ready");
  EXPECT_TRUE(Call().ok());
  base::Child first = std::exchange(daemon_, {});
  UniqueFd first_input = std::move(input_);
  EXPECT_TRUE(absl::StrContains(Start(8), "another program listens there"));
  Stop();
  daemon_ = std::move(first);
  input_ = std::move(first_input);
  EXPECT_TRUE(Call().ok());
}

TEST_F(ServerTest, API_4_ServerSurvivesEmfile) {
  ASSERT_EQ(Start(/*max_connections=*/1000, /*fd_limit=*/32), "ready");
  const rlimit files = {2048, 1 << 16};
  setrlimit(RLIMIT_NOFILE, &files);
  std::vector<UniqueFd> flood;
  for (int i = 0; i < 500; ++i) flood.push_back(Connect(socket_));
  // Those that found no descriptor are told so.
  const auto closed = [&] {
    return std::count_if(flood.begin(), flood.end(), [](const UniqueFd& one) {
      return !one.valid() || ClosedWithin(one.get(), absl::Milliseconds(1));
    });
  };
  const absl::Time end = absl::Now() + kLong;
  while (closed() <= 300 && absl::Now() < end) continue;
  EXPECT_GT(closed(), 300);
  flood.clear();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Call().ok());
}

TEST_F(ServerTest, API_4_IdleConnectionsAreDropped) {
  ASSERT_EQ(Start(200), "ready");
  std::vector<UniqueFd> idle;
  for (int i = 0; i < 100; ++i) idle.push_back(Connect(socket_));
  // Half a preface is no handshake either.
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(write(idle[i].get(), kPreface, 10), 10);
  }
  const absl::Time end = absl::Now() + kLong;
  for (const UniqueFd& connection : idle) {
    EXPECT_TRUE(ClosedWithin(connection.get(), end - absl::Now()));
  }
  EXPECT_TRUE(Call().ok());
}

TEST_F(ServerTest, API_4_ConnectionCap) {
  ASSERT_EQ(Start(/*max_connections=*/4), "ready");
  std::vector<UniqueFd> held;
  for (int i = 0; i < 4; ++i) {
    held.push_back(Connect(socket_));
    ASSERT_TRUE(Speaks(held.back().get()));
  }
  const UniqueFd fifth = Connect(socket_);
  EXPECT_TRUE(ClosedWithin(fifth.get(), kLong));
  held.pop_back();
  EXPECT_TRUE(Call().ok());
}

}  // namespace
}  // namespace warren::agent
