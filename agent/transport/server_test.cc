// The server against a real socket: server_test_daemon in a process of its own.
#include "agent/transport/server.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/transport/server_testing.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace warren::agent {
namespace {

namespace health = ::grpc::health::v1;
<<<<<<< HEAD
=======
using base::UniqueFd;

constexpr uid_t kNobody = 65534;
constexpr absl::Duration kLong = absl::Seconds(60);  // on any machine

// HTTP/2 connection preface and an empty SETTINGS frame (RFC 9113).
constexpr char kPreface[] =
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

UniqueFd Connect(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
              sizeof(address)) != 0) {
    fd.reset();
  }
  return fd;
}

// Waits until the other side has closed; bytes on the way are read.
bool ClosedWithin(int fd, absl::Duration limit) {
  const absl::Time end = absl::Now() + limit;
  char buffer[256];
  while (absl::Now() < end) {
    pollfd item = {.fd = fd, .events = POLLIN, .revents = 0};
    poll(&item, 1, absl::ToInt64Milliseconds(end - absl::Now()));
    if (item.revents == 0) continue;
    if (read(fd, buffer, sizeof(buffer)) <= 0) return true;
  }
  return false;
}

// Does a server speak HTTP/2 on this connection?
bool Speaks(int fd) {
  if (write(fd, kPreface, sizeof(kPreface) - 1) < 0) return false;
  pollfd item = {.fd = fd, .events = POLLIN, .revents = 0};
  char byte;
  return poll(&item, 1, absl::ToInt64Milliseconds(kLong)) == 1 &&
         read(fd, &byte, 1) == 1;
}

// Runs `work` on a thread whose credentials are those of a stranger. The raw
// calls change one thread only, unlike those of the C library.
template <class Work>
void AsStranger(gid_t group, Work work) {
  std::thread([&] {
    if (syscall(SYS_setgroups, 0, nullptr) != 0 ||
        syscall(SYS_setresgid, group, group, group) != 0 ||
        syscall(SYS_setresuid, kNobody, kNobody, kNobody) != 0) {
      ADD_FAILURE() << "cannot change credentials: " << strerror(errno);
      return;
    }
    work();
  }).join();
}

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char directory[] = "/tmp/warren-server-XXXXXX";
    ASSERT_NE(mkdtemp(directory), nullptr);
    directory_ = directory;
    chmod(directory, 0711);
    socket_ = directory_ + "/run/w.sock";
  }

  void TearDown() override {
    Stop();
    ASSERT_TRUE(base::RemoveTree(AT_FDCWD, directory_).ok());
  }

  // Starts the daemon and returns the line it says.
  std::string Start(int max_connections, int fd_limit = 0,
                    const std::string& group = "") {
    base::Pipe in = *base::MakePipe();
    base::Pipe out = *base::MakePipe();
    base::SpawnOptions options;
    options.path = SERVER_TEST_DAEMON;
    options.args = {options.path, socket_, absl::StrCat(max_connections),
                    absl::StrCat(fd_limit)};
    if (!group.empty()) options.args.push_back(group);
    options.fds = {in.read.get(), out.write.get(), STDERR_FILENO};
    daemon_ = *base::Spawn(options);
    input_ = std::move(in.write);
    out.write.reset();
    std::string line;
    char c;
    while (read(out.read.get(), &c, 1) == 1 && c != '\n') line += c;
    return line;
  }

  // Ends the daemon by closing its input; its exit code.
  int Stop() {
    if (!daemon_.pidfd.valid()) return -1;
    input_.reset();
    EXPECT_TRUE(*base::WaitExit(daemon_.pidfd.get(), kLong));
    const absl::StatusOr<int> status = base::Reap(daemon_.pidfd.get());
    daemon_.pidfd.reset();
    return status.ok() && WIFEXITED(*status) ? WEXITSTATUS(*status) : -1;
  }

  std::shared_ptr<grpc::Channel> Channel() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 50);
    arguments.SetMaxSendMessageSize(-1);
    return grpc::CreateCustomChannel(
        "unix:" + socket_, grpc::InsecureChannelCredentials(), arguments);
  }

  grpc::Status Call(const std::string& id, absl::Duration limit,
                    api::InspectPodSandboxResponse* reply) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(absl::ToChronoTime(absl::Now() + limit));
    api::InspectPodSandboxRequest request;
    request.set_pod_sandbox_id(id);
    return api::NodeService::NewStub(Channel())->InspectPodSandbox(
        &context, request, reply);
  }
  grpc::Status Call(absl::Duration limit = kLong) {
    api::InspectPodSandboxResponse reply;
    return Call("id", limit, &reply);
  }

  std::string directory_;
  std::string socket_;
  base::Child daemon_;
  UniqueFd input_;
};

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
  for (int look = 0; look < 1000 && closed() <= 300; ++look) continue;
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
>>>>>>> h/indep

TEST_F(ServerTest, RequestsUpToSixteenMebibytes) {
  ASSERT_EQ(Start(8), "ready");
  api::InspectPodSandboxResponse reply;
  const std::string fits(kMaxMessageBytes - 1024, 'a');
  EXPECT_TRUE(Call(fits, kLong, &reply).ok());
  EXPECT_EQ(reply.pod().boottime_offset_ns(),
            static_cast<int64_t>(fits.size()));
  EXPECT_EQ(Call(fits + fits, kLong, &reply).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(ServerTest, RepliesAreUtf8) {
  ASSERT_EQ(Start(8), "ready");
  api::InspectPodSandboxResponse reply;
  ASSERT_TRUE(Call("id", kLong, &reply).ok());
  EXPECT_EQ(reply.pod().name(), "a\xEF\xBF\xBD");
}

TEST_F(ServerTest, REL_27_DrainCancelsWhatDoesNotEnd) {
  ASSERT_EQ(Start(8), "ready");
  grpc::Status slow;
  std::thread caller([&] {
    api::InspectPodSandboxResponse reply;
    slow = Call("slow", 2 * kLong, &reply);
  });
  EXPECT_TRUE(Call().ok());
  const absl::Time start = absl::Now();
  EXPECT_EQ(Stop(), 0);
  EXPECT_LT(absl::Now() - start, kLong);
  caller.join();
  EXPECT_FALSE(slow.ok());
}

TEST_F(ServerTest, REL_27_IdleClientsDoNotDelayTheDrain) {
  absl::Duration quickest = absl::InfiniteDuration();
  for (int i = 0; i < 20 && quickest > absl::Milliseconds(900); ++i) {
    ASSERT_EQ(Start(8), "ready");
    const UniqueFd idle = Connect(socket_);
    ASSERT_TRUE(Speaks(idle.get()));
    EXPECT_TRUE(Call().ok());
    const absl::Time start = absl::Now();
    EXPECT_EQ(Stop(), 0);
    quickest = std::min(quickest, absl::Now() - start);
  }
  EXPECT_LT(quickest, absl::Milliseconds(900)) << "always a second";
}

TEST_F(ServerTest, HealthCheckAndWatch) {
  ASSERT_EQ(Start(8), "ready");
  const auto stub = health::Health::NewStub(Channel());
  const auto check = [&](const std::string& name,
                         health::HealthCheckResponse* reply) {
    grpc::ClientContext context;
    health::HealthCheckRequest request;
    request.set_service(name);
    return stub->Check(&context, request, reply);
  };
  health::HealthCheckResponse reply;
  for (const char* name : {"", "warren.node.v1.NodeService"}) {
    ASSERT_TRUE(check(name, &reply).ok());
    EXPECT_EQ(reply.status(), health::HealthCheckResponse::SERVING);
  }
  EXPECT_EQ(check("nobody", &reply).error_code(), grpc::StatusCode::NOT_FOUND);

  grpc::ClientContext context;
  const auto watch = stub->Watch(&context, health::HealthCheckRequest());
  ASSERT_TRUE(watch->Read(&reply));
  EXPECT_EQ(reply.status(), health::HealthCheckResponse::SERVING);
  grpc::ClientContext unknown_context;
  health::HealthCheckRequest unknown;
  unknown.set_service("nobody");
  const auto unknown_watch = stub->Watch(&unknown_context, unknown);
  ASSERT_TRUE(unknown_watch->Read(&reply));
  EXPECT_EQ(reply.status(), health::HealthCheckResponse::SERVICE_UNKNOWN);
  unknown_context.TryCancel();
  EXPECT_FALSE(unknown_watch->Finish().ok());
  // The end of the daemon ends the watch and not the other way round.
  EXPECT_EQ(Stop(), 0);
  while (watch->Read(&reply)) {
  }
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

// ServerReflectionRequest.file_containing_symbol (field 4) by hand: there is
// no generated code of reflection in Debian.
TEST_F(ServerTest, HealthCanBeFoundByReflection) {
  ASSERT_EQ(Start(8), "ready");
  grpc::GenericStub stub(Channel());
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kLong));
  const auto call = stub.PrepareCall(
      &context,
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  const auto step = [&] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  call->StartCall(nullptr);
  ASSERT_TRUE(step());
  const std::string symbol = "grpc.health.v1.Health";
  const std::string request = absl::StrCat(
      "\x22", std::string(1, static_cast<char>(symbol.size())), symbol);
  const grpc::Slice slice(request);
  call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
  ASSERT_TRUE(step());
  grpc::ByteBuffer reply;
  call->Read(&reply, nullptr);
  ASSERT_TRUE(step());
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(reply.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& part : slices) {
    bytes.append(reinterpret_cast<const char*>(part.begin()), part.size());
  }
  EXPECT_TRUE(absl::StrContains(bytes, "HealthCheckRequest"));
  context.TryCancel();
  queue.Shutdown();
  while (step()) {
  }
}

}  // namespace
}  // namespace warren::agent
