#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "runtime/image/registry/testing/client_fixture.h"
#include "runtime/image/registry/testing/tls_identity.h"

// The client against Debian's docker-registry.
namespace warren::registry {
namespace {

using testing::Exchange;
using testing::FetchToString;
using testing::HttpServer;
using testing::kManifest;
using testing::kManifestType;
using testing::Noise;
using testing::ServerRequest;
using testing::TlsIdentity;

// Where tests/support/docker_registry.sh puts it.
constexpr char kProgram[] = WARREN_DOCKER_REGISTRY;
constexpr char kHtpasswd[] = "/usr/bin/htpasswd";

// A loopback address, with `port` or a free one.
base::UniqueFd LoopbackSocket(sockaddr_in* address) {
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return base::UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

uint16_t FreePort() {
  sockaddr_in address = {};
  const base::UniqueFd fd = LoopbackSocket(&address);
  socklen_t size = sizeof(address);
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  return bind(fd.get(), raw, size) == 0 &&
                 getsockname(fd.get(), raw, &size) == 0
             ? ntohs(address.sin_port)
             : 0;
}

bool Listens(uint16_t port) {
  sockaddr_in address = {};
  const base::UniqueFd fd = LoopbackSocket(&address);
  address.sin_port = htons(port);
  return connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
                 sizeof(address)) == 0;
}

// What `htpasswd` prints for `kim`.
std::string PasswordFile(const Credentials& kim) {
  auto pipe = base::MakePipe();
  if (!pipe.ok()) return "";
  base::SpawnOptions options;
  options.path = kHtpasswd;
  options.args = {"htpasswd", "-Bbn", kim.username, kim.secret};
  options.fds = {-1, pipe->write.get(), -1};
  const auto child = base::Spawn(options);
  pipe->write.reset();
  auto text = base::ReadFd(pipe->read.get(), 4096);
  if (child.ok()) (void)base::Reap(child->pidfd.get());
  return text.ok() ? std::string(absl::StripAsciiWhitespace(*text)) : "";
}

class DockerRegistryTest : public testing::ClientFixture {
 protected:
  void SetUp() override {
    if (access(kProgram, X_OK) != 0 || access(kHtpasswd, X_OK) != 0) {
      GTEST_SKIP()
          << "docker-registry (tests/support) or apache2-utils is missing";
    }
    storage_ = absl::StrCat(options_.hosts_dir, "/storage/docker/registry/v2");
  }
  void TearDown() override {
    if (!child_) return;
    (void)base::SendSignal(child_->pidfd.get(), SIGKILL);
    (void)base::WaitExit(child_->pidfd.get(), absl::Minutes(1));
    (void)base::Reap(child_->pidfd.get());
  }

  // A file of the registry's storage and the directories above it.
  void Store(const std::string& path, const std::string& data) {
    const std::string whole = absl::StrCat(storage_, "/", path);
    const size_t slash = whole.rfind('/');
    ASSERT_TRUE(base::MakeDirs(AT_FDCWD, whole.substr(0, slash), 0700).ok());
    WriteFile(whole.substr(options_.hosts_dir.size() + 1), data);
  }
  image::Digest StoreBlob(const std::string& data) {
    image::Digest digest = image::Digest::Of(data);
    Store(absl::StrCat("blobs/sha256/", digest.hex().substr(0, 2), "/",
                       digest.hex(), "/data"),
          data);
    Store(absl::StrCat("repositories/app/web/_layers/sha256/", digest.hex(),
                       "/link"),
          digest.ToString());
    return digest;
  }
  void StoreManifest(const std::string& tag, const std::string& data) {
    const image::Digest digest = StoreBlob(data);
    const std::string manifests = "repositories/app/web/_manifests/";
    Store(absl::StrCat(manifests, "revisions/sha256/", digest.hex(), "/link"),
          digest.ToString());
    Store(absl::StrCat(manifests, "tags/", tag, "/current/link"),
          digest.ToString());
  }

  // Starts it with `more` configuration below "http:" and at the top.
  void Start(const std::string& http, const std::string& top) {
    for (int i = 0; i < 5; ++i) {  // somebody else may take the port
      port_ = FreePort();
      const std::string config = WriteFile(
          "config.yml",
          absl::StrCat("version: 0.1\nlog: {level: error}\n"
                       "storage: {filesystem: {rootdirectory: ",
                       options_.hosts_dir, "/storage}}\n", top,
                       "http:\n  addr: 127.0.0.1:", port_, "\n", http));
      base::SpawnOptions options;
      options.path = kProgram;
      options.args = {kProgram, "serve", config};
      options.env = {"OTEL_TRACES_EXPORTER=none"};
      options.fds = {-1, -1, -1};
      auto child = base::Spawn(options);
      ASSERT_TRUE(child.ok()) << child.status();
      child_ = *std::move(child);
      for (int look = 0; look < 3000 && !Listens(port_); ++look) {
        const auto over =
            base::WaitExit(child_->pidfd.get(), absl::Milliseconds(20));
        if (!over.ok() || *over) break;
      }
      if (Listens(port_)) return;
      TearDown();
      child_.reset();
    }
    FAIL() << "docker-registry does not start";
  }

  std::string host() const { return absl::StrCat("127.0.0.1:", port_); }

  std::string storage_;
  uint16_t port_ = 0;
  std::optional<base::Child> child_;
};

TEST_F(DockerRegistryTest, PlainAndAnonymous) {
  const std::string blob = Noise(1 << 20);
  StoreBlob(blob);
  StoreManifest("v1", kManifest);
  Start("", "");
  auto pull = Begin(host());
  const auto looked = pull->LookUpTag("v1", Patience());
  ASSERT_TRUE(looked.ok()) << looked.status();
  EXPECT_EQ(*looked, image::Digest::Of(kManifest));
  const auto document = pull->ResolveTag("v1", Patience());
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(document->bytes, kManifest);
  EXPECT_EQ(document->media_type, kManifestType);
  const auto fetched = FetchToString(pull.get(), blob, Patience());
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, blob);
  EXPECT_EQ(pull->ResolveTag("v9", Patience()).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(DockerRegistryTest, TlsHttp2AndBasic) {
  const std::string blob = Noise(3 << 20);
  StoreBlob(blob);
  StoreManifest("v1", kManifest);
  const TlsIdentity identity;
  const std::string pem = WriteFile("server.pem", identity.server_pem());
  const std::string passwords =
      WriteFile("passwords", PasswordFile(Kim()) + "\n");
  Start(absl::StrCat("  tls: {certificate: ", pem, ", key: ", pem, "}\n"),
        absl::StrCat("auth: {htpasswd: {realm: x, path: ", passwords, "}}\n"));
  WriteHosts(host(), "ca = \"ca.pem\"\n");
  WriteFile(host() + "/ca.pem", identity.ca_pem());

  EXPECT_EQ(Begin(host())->ResolveTag("v1", Patience()).status().code(),
            absl::StatusCode::kUnauthenticated);
  Credentials wrong = Kim();
  wrong.secret = "other";
  EXPECT_EQ(Begin(host(), wrong)->ResolveTag("v1", Patience()).status().code(),
            absl::StatusCode::kUnauthenticated);
  auto pull = Begin(host(), Kim());
  const auto document = pull->ResolveTag("v1", Patience());
  ASSERT_TRUE(document.ok()) << document.status();
  for (int i = 0; i < 3; ++i) {
    const auto fetched = FetchToString(pull.get(), blob, Patience());
    ASSERT_TRUE(fetched.ok()) << fetched.status();
    EXPECT_EQ(*fetched, blob);
  }
}

TEST_F(DockerRegistryTest, TokensOfAServerOfItsOwn) {
  const std::string blob = Noise(100'000);
  StoreBlob(blob);
  StoreManifest("v1", kManifest);
  const TlsIdentity identity;
  HttpServer tokens(
      [&](const ServerRequest& request, Exchange* exchange) {
        const int64_t now = base::SystemClock().RealNow() / 1'000'000'000;
        if (request.method == "POST" || !request.Has("authorization")) {
          exchange->Respond(401, {}, "");
          return;
        }
        const std::string token = identity.SignToken(absl::StrCat(
            R"({"iss":"warren","sub":"kim","aud":"reg","jti":"1","nbf":)",
            now - 60, R"(,"iat":)", now - 60, R"(,"exp":)", now + 600,
            R"(,"access":[{"type":"repository","name":"app/web",)",
            R"("actions":["pull"]}]})"));
        exchange->Respond(200, {},
                          absl::StrCat(R"({"access_token":")", token, "\"}"));
      },
      &identity);
  const std::string pem = WriteFile("server.pem", identity.server_pem());
  const std::string roots = WriteFile("roots.pem", identity.ca_pem());
  Start(absl::StrCat("  tls: {certificate: ", pem, ", key: ", pem, "}\n"),
        absl::StrCat("auth: {token: {realm: '", tokens.url(),
                     "/t', service: reg, issuer: warren, rootcertbundle: ",
                     roots, "}}\n"));
  WriteHosts(host(), "ca = \"ca.pem\"\n");
  WriteFile(host() + "/ca.pem", identity.ca_pem());

  EXPECT_EQ(Begin(host())->ResolveTag("v1", Patience()).status().code(),
            absl::StatusCode::kUnauthenticated);
  auto pull = Begin(host(), Kim());
  const auto document = pull->ResolveTag("v1", Patience());
  ASSERT_TRUE(document.ok()) << document.status();
  const auto fetched = FetchToString(pull.get(), blob, Patience());
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, blob);
}

}  // namespace
}  // namespace warren::registry
