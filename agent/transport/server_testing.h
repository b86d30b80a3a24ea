#ifndef WARREN_AGENT_TRANSPORT_SERVER_TESTING_H_
#define WARREN_AGENT_TRANSPORT_SERVER_TESTING_H_

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/transport/server.h"
#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "warren/node/v1/node.grpc.pb.h"

// For tests of the server and of its listeners: server_test_daemon in a
// process of its own, and its clients.
namespace warren::agent {
namespace api = ::warren::node::v1;

using base::UniqueFd;

inline constexpr uid_t kNobody = 65534;
// For what happens soon, on whatever machine.
inline constexpr absl::Duration kLong = absl::Seconds(60);

// HTTP/2 connection preface and an empty SETTINGS frame (RFC 9113).
inline constexpr char kPreface[] =
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

inline UniqueFd Connect(const std::string& path) {
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
inline bool ClosedWithin(int fd, absl::Duration limit) {
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
inline bool Speaks(int fd) {
  if (write(fd, kPreface, sizeof(kPreface) - 1) < 0) return false;
  pollfd item = {.fd = fd, .events = POLLIN, .revents = 0};
  char byte;
  return poll(&item, 1, absl::ToInt64Milliseconds(kLong)) == 1 &&
         read(fd, &byte, 1) == 1;
}

// Runs `work` on a thread whose credentials are those of a stranger with these
// groups. The raw calls change one thread only, unlike those of the C library.
template <class Work>
void AsStranger(gid_t group, const std::vector<gid_t>& supplementary,
                Work work) {
  std::thread([&] {
    if (syscall(SYS_setgroups, supplementary.size(), supplementary.data()) !=
            0 ||
        syscall(SYS_setresgid, group, group, group) != 0 ||
        syscall(SYS_setresuid, kNobody, kNobody, kNobody) != 0) {
      ADD_FAILURE() << "cannot change credentials: " << strerror(errno);
      return;
    }
    work();
  }).join();
}

template <class Work>
void AsStranger(gid_t group, Work work) {
  AsStranger(group, {}, work);
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
    output_ = std::move(out.read);
    out.write.reset();
    return ReadLine();
  }

  // The next line that the daemon says.
  std::string ReadLine() {
    std::string line;
    char c;
    while (read(output_.get(), &c, 1) == 1 && c != '\n') line += c;
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

  static grpc::Status Call(const std::shared_ptr<grpc::Channel>& channel,
                           const std::string& id, absl::Duration limit,
                           api::InspectPodSandboxResponse* reply) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(absl::ToChronoTime(absl::Now() + limit));
    api::InspectPodSandboxRequest request;
    request.set_pod_sandbox_id(id);
    return api::NodeService::NewStub(channel)->InspectPodSandbox(
        &context, request, reply);
  }
  grpc::Status Call(const std::string& id, absl::Duration limit,
                    api::InspectPodSandboxResponse* reply) {
    return Call(Channel(), id, limit, reply);
  }
  grpc::Status Call(absl::Duration limit = kLong) {
    api::InspectPodSandboxResponse reply;
    return Call("id", limit, &reply);
  }

  std::string directory_;
  std::string socket_;
  base::Child daemon_;
  UniqueFd input_;
  UniqueFd output_;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_TRANSPORT_SERVER_TESTING_H_
