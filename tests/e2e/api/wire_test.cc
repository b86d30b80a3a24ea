// What no generated stub would send: bad UTF-8, garbage, unknown fields, very
// large messages, many connections.
#include <absl/strings/str_cat.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

constexpr char kRunPod[] = "/runtime.v1.RuntimeService/RunPodSandbox";
constexpr char kStatus[] = "/runtime.v1.RuntimeService/PodSandboxStatus";
constexpr char kVersion[] = "/runtime.v1.RuntimeService/Version";

class WireTest : public CriTest {
 protected:
  bool Answers() {
    return client()
        .channel()
        .Unary(kVersion, "", Patience(absl::Seconds(10)))
        .ok();
  }
};

// Length-delimited field 1.
std::string Field1(const std::string& bytes) {
  return absl::StrCat("\x0a", std::string(1, static_cast<char>(bytes.size())),
                      bytes);
}

TEST_F(WireTest, InvalidUtf8InARequestIsRefused) {
  // By the message parser, which gRPC reports as INTERNAL.
  EXPECT_FALSE(client()
                   .channel()
                   .Unary(kStatus, Field1("\xff\xfe\x80 no such pod"),
                          Patience(absl::Seconds(10)))
                   .ok());
  EXPECT_TRUE(Answers());
}

TEST_F(WireTest, InvalidUtf8OfAWorkloadNeverBreaksAReply) {
  // A command name, a host name and a mount point that are not text.
  cri::ContainerConfig config =
      ShellConfig("main",
                  "printf '\\377\\376x' > /proc/self/comm; cd /; "
                  "d=$(printf 'a\\200b'); mkdir \"$d\"; "
                  "mount -t tmpfs none \"$d\"; hostname \"$d\"; "
                  "printf 'out\\377\\n'; while :; do sleep 1; done");
  config.mutable_linux()
      ->mutable_security_context()
      ->mutable_capabilities()
      ->add_add_capabilities("SYS_ADMIN");
  std::string pod_id;
  const std::string id = RunAlone(config, &pod_id);
  EXPECT_TRUE(Eventually(
      [&] { return !ReadHostFile(StatusOf(id).log_path()).empty(); }));
  const auto view = client().InspectPodSandbox(pod_id);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_GE(view->containers(0).processes_size(), 1);
  EXPECT_TRUE(client().PodSandboxStatus(pod_id, true).ok());
  EXPECT_THAT(client().ExecSync(id, {"hostname"})->stdout(),
              testing::HasSubstr("\x80"));
}

TEST_F(WireTest, GarbageIsRefused) {
  EXPECT_FALSE(client()
                   .channel()
                   .Unary(kRunPod,
                          "\x0a\xff\xff\xff\xff\x0f"
                          "short",
                          Patience(absl::Seconds(10)))
                   .ok());
  EXPECT_TRUE(Answers());
}

TEST_F(WireTest, UnknownFieldsAreSkipped) {
  // Field 4000, varint 1.
  EXPECT_TRUE(
      client()
          .channel()
          .Unary(kVersion, "\x80\xfa\x01\x01", Patience(absl::Seconds(10)))
          .ok());
}

TEST_F(WireTest, MessagesOfAlmost16MebibytesArrive) {
  cri::PodSandboxConfig config = Pod("large");
  (*config.mutable_annotations())["big"] = std::string(15 << 20, 'x');
  cri::RunPodSandboxRequest request;
  *request.mutable_config() = config;
  const auto reply = client().channel().Unary(
      kRunPod, request.SerializeAsString(), absl::Seconds(60));
  // Accepted, or refused for its size by a rule of ours; never by the
  // transport (RESOURCE_EXHAUSTED "Received message larger than max").
  EXPECT_THAT(reply.status().ToString(),
              testing::Not(testing::HasSubstr("larger than max")));
  EXPECT_TRUE(Answers());
}

TEST_F(WireTest, LargerMessagesAreRefusedByTheTransport) {
  EXPECT_CODE(client()
                  .channel()
                  .Unary(kVersion, Field1("") + std::string(17 << 20, 'x'),
                         absl::Seconds(60))
                  .status(),
              kResourceExhausted);
  EXPECT_TRUE(Answers());
}

TEST_F(WireTest, ManyClientsAtOnceAreServed) {
  std::vector<std::thread> threads;
  std::atomic<int> answered = 0;
  for (int i = 0; i < 64; ++i) {
    threads.emplace_back([&] {
      CriClient own(daemon().socket());
      if (own.Call<cri::VersionResponse>(cri::VersionRequest()).ok()) {
        ++answered;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered, 64);
}

TEST_F(WireTest, API_4_ConnectionsThatSayNothingDoNotDeafenTheServer) {
  std::vector<base::UniqueFd> silent;
  for (int i = 0; i < 200; ++i) {
    base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, daemon().socket().c_str(),
                 sizeof(address.sun_path) - 1);
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
                sizeof(address)) == 0) {
      silent.push_back(std::move(fd));
    }
  }
  EXPECT_FALSE(silent.empty());
  EXPECT_TRUE(Answers()) << "on the old connection";
  silent.clear();
  CriClient fresh(daemon().socket());
  EXPECT_TRUE(Eventually([&] {
    return fresh.Call<cri::VersionResponse>(cri::VersionRequest()).ok();
  })) << "on a new one, when they are gone";
}

TEST_F(WireTest, TheSocketIsForRootOnly) {
  struct stat st;
  ASSERT_EQ(stat(daemon().socket().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  EXPECT_EQ(st.st_uid, 0u);
}

}  // namespace
}  // namespace warren::test
