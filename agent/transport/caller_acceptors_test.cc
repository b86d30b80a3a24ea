#include "agent/transport/caller_acceptors.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <grpcpp/create_channel_posix.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/transport/server.h"
#include "runtime/base/file.h"
#include "warren/node/v1/node.grpc.pb.h"

namespace warren::agent {
namespace {

namespace api = ::warren::node::v1;

constexpr gid_t kGroup = 54321;

// Says by whom it was called.
class WhoAmI final : public api::NodeService::Service {
 public:
  grpc::Status InspectPodSandbox(
      grpc::ServerContext* context, const api::InspectPodSandboxRequest*,
      api::InspectPodSandboxResponse* reply) override {
    reply->mutable_pod()->set_name(CallerOf(*context).Name());
    return grpc::Status::OK;
  }
};

class PeerAcceptorsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
    char directory[] = "/tmp/warren-callers-XXXXXX";
    ASSERT_NE(mkdtemp(directory), nullptr);
    directory_ = directory;
    chmod(directory, 0711);
    auto server = Server::Start(
        {{.socket = directory_ + "/run/w.sock", .group = kGroup}}, {&service_});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  void TearDown() override {
    channels_.clear();
    server_.reset();
    if (!directory_.empty()) {
      EXPECT_TRUE(base::RemoveTree(AT_FDCWD, directory_).ok());
    }
  }

  // A connection of a user who is a member of the group. The raw calls change
  // one thread only, unlike those of the C library.
  void Connect(uid_t uid) {
    const std::string path = directory_ + "/run/w.sock";
    int fd = -1;
    std::thread([&] {
      fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_un address = {};
      address.sun_family = AF_UNIX;
      memcpy(address.sun_path, path.c_str(), path.size() + 1);
      EXPECT_EQ(syscall(SYS_setgroups, 0, nullptr), 0);
      EXPECT_EQ(syscall(SYS_setresgid, kGroup, kGroup, kGroup), 0);
      EXPECT_EQ(syscall(SYS_setresuid, uid, uid, uid), 0);
      EXPECT_EQ(
          connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
          0);
    }).join();
    fcntl(fd, F_SETFL, O_NONBLOCK);
    channels_.push_back(grpc::CreateInsecureChannelFromFd("server", fd));
  }

  // Whom the server takes the caller for, or the error.
  static std::string Ask(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    // Nothing that a client says has any influence.
    context.AddMetadata("warren_caller_uid", "4711");
    api::InspectPodSandboxResponse reply;
    const grpc::Status status =
        api::NodeService::NewStub(channel)->InspectPodSandbox(&context, {},
                                                              &reply);
    return status.ok() ? reply.pod().name() : status.error_message();
  }

  std::string directory_;
  WhoAmI service_;
  std::unique_ptr<Server> server_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
};

TEST_F(PeerAcceptorsTest, API_9_CallsSayWhichUserMadeThem) {
  Connect(1000);
  Connect(0);
  Connect(1001);
  Connect(1000);
  const std::vector<std::string> users = {"uid:1000", "uid:0", "uid:1001",
                                          "uid:1000"};
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < users.size(); ++i) {
      EXPECT_EQ(Ask(channels_[i]), users[i]);
    }
  }
  // Many at once on one new connection.
  Connect(1001);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { EXPECT_EQ(Ask(channels_.back()), "uid:1001"); });
  }
  for (std::thread& thread : threads) thread.join();
}

// More users than there are acceptors: no name, rather than that of another.
TEST_F(PeerAcceptorsTest,
       API_9_UsersBeyondTheBoundAreUnnamedAndWorkAllTheSame) {
  constexpr int kUsers = CallerAcceptors::kCount + 2;
  for (int i = 1; i <= kUsers; ++i) Connect(1000 + i);
  Connect(1001);
  Connect(0);
  for (int i = 1; i <= kUsers; ++i) {
    EXPECT_EQ(Ask(channels_[i - 1]), i <= CallerAcceptors::kCount - 2
                                         ? absl::StrCat("uid:", 1000 + i)
                                         : "unix:");
  }
  EXPECT_EQ(Ask(channels_[kUsers]), "uid:1001");
  EXPECT_EQ(Ask(channels_[kUsers + 1]), "uid:0");
}

}  // namespace
}  // namespace warren::agent
