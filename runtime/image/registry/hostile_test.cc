#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <string>

#include "runtime/base/unique_fd.h"
#include "runtime/image/registry/testing/client_fixture.h"

namespace warren::registry {
namespace {

using testing::Content;
using testing::Exchange;
using ::testing::HasSubstr;
using testing::HttpServer;
using testing::kManifest;
using testing::kManifestType;
using ::testing::Not;
using testing::ServerRequest;

// A registry that does what a test says, and what comes of it.
class HostileRegistryTest : public testing::ClientFixture {
 protected:
  HostileRegistryTest() {
    options_.retries.tries = 2;
    content_.AddManifest("v1", kManifest, kManifestType);
  }

  absl::StatusOr<Document> Resolve(const HttpServer& server) {
    return Begin(server.host())->ResolveTag("v1", Patience());
  }
  absl::Status Result(const HttpServer::Handler& handler) {
    HttpServer server(handler);
    return Resolve(server).status();
  }

  Content content_;
};

TEST_F(HostileRegistryTest, IMG_3_HeadersWithoutEnd) {
  const absl::Status status =
      Result([](const ServerRequest&, Exchange* exchange) {
        exchange->Write("HTTP/1.1 200 OK\r\n");
        const std::string line = "X-More: " + std::string(1000, 'x') + "\r\n";
        while (exchange->Write(line)) {
        }
        exchange->Close();
      });
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(status.ToString(), HasSubstr("too many or too long headers"));
}

TEST_F(HostileRegistryTest, IMG_3_ManyHeadersAndOneWithoutEnd) {
  EXPECT_FALSE(Result([](const ServerRequest&, Exchange* exchange) {
                 exchange->Write("HTTP/1.1 200 OK\r\n");
                 while (exchange->Write("a:b\r\n")) {
                 }
                 exchange->Close();
               }).ok());
  EXPECT_FALSE(Result([](const ServerRequest&, Exchange* exchange) {
                 exchange->Write("HTTP/1.1 200 OK\r\nX: ");
                 while (exchange->Write(std::string(4096, 'x'))) {
                 }
                 exchange->Close();
               }).ok());
}

TEST_F(HostileRegistryTest, IMG_3_InterimAnswersWithoutEnd) {
  EXPECT_FALSE(Result([](const ServerRequest&, Exchange* exchange) {
                 while (exchange->Write("HTTP/1.1 103 Early\r\nA: b\r\n\r\n")) {
                 }
                 exchange->Close();
               }).ok());
}

TEST_F(HostileRegistryTest, InterimAnswersAreNoAnswer) {
  HttpServer server([&](const ServerRequest& request, Exchange* exchange) {
    exchange->Write("HTTP/1.1 103 Early\r\nContent-Length: 5\r\n\r\n");
    content_.Serve(request, exchange);
  });
  const auto document = Resolve(server);
  EXPECT_TRUE(document.ok()) << document.status();
}

TEST_F(HostileRegistryTest, IMG_3_ManifestWithoutEnd) {
  for (const int code : {200, 404}) {
    const absl::Status status =
        Result([&](const ServerRequest&, Exchange* exchange) {
          exchange->Head(code, {{"Connection", "close"}});
          while (exchange->Write(std::string(64 << 10, ' '))) {
          }
          exchange->Close();
        });
    EXPECT_EQ(status.code(), code == 200 ? absl::StatusCode::kDataLoss
                                         : absl::StatusCode::kNotFound);
  }
}

TEST_F(HostileRegistryTest, IMG_3_ManifestsAboveFourMebibytes) {
  std::string big = kManifest;
  big.append((512 << 10) - big.size(), ' ');
  content_.AddManifest("v1", big, kManifestType);
  HttpServer server([&](const ServerRequest& request, Exchange* exchange) {
    content_.Serve(request, exchange);
  });
  EXPECT_TRUE(Resolve(server).ok());
  big.append((4 << 20) + 1 - big.size(), ' ');
  content_.AddManifest("v1", big, kManifestType);
  EXPECT_EQ(Resolve(server).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(HostileRegistryTest, IMG_4_HeaderThatCallsItAnotherDigest) {
  const auto with = [&](const std::string& digest) {
    return Result([&](const ServerRequest&, Exchange* exchange) {
      exchange->Respond(200, {{"docker-content-digest", digest}}, kManifest);
    });
  };
  EXPECT_EQ(with(image::Digest::Of("x").ToString()).code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(with("sha256:../../x").code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(with(image::Digest::Of(kManifest).ToString()).ok());
  // Missing, or of an algorithm that is not ours.
  EXPECT_TRUE(with("sha512:" + std::string(128, 'a')).ok());
}

TEST_F(HostileRegistryTest, IMG_4_WrongSizeOfTheDescriptor) {
  HttpServer server([&](const ServerRequest& request, Exchange* exchange) {
    content_.Serve(request, exchange);
  });
  const auto document =
      Begin(server.host())
          ->FetchManifest(image::Digest::Of(kManifest), 5, Patience());
  EXPECT_EQ(document.status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(HostileRegistryTest, ChunkedAndOddTypesAreTaken) {
  for (const char* type : {"application/json", "text/plain; charset=utf-8",
                           "application/octet-stream", ""}) {
    EXPECT_TRUE(Result([&](const ServerRequest&, Exchange* exchange) {
                  exchange->Head(200, {{"Transfer-Encoding", "chunked"},
                                       {"Content-Type", type}});
                  const std::string body = kManifest;
                  exchange->Write(absl::StrCat(absl::Hex(body.size()), "\r\n",
                                               body, "\r\n0\r\n\r\n"));
                }).ok())
        << type;
  }
}

TEST_F(HostileRegistryTest, IMG_3_ChallengesAreBounded) {
  const absl::Status status =
      Result([](const ServerRequest&, Exchange* exchange) {
        testing::ServerHeaders headers;
        for (int i = 0; i < 7; ++i) {
          headers.emplace_back("WWW-Authenticate",
                               "Bearer realm=" + std::string(8190, 'a'));
        }
        exchange->Respond(401, headers, "");
      });
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(HostileRegistryTest, RealmThatIsNoAddress) {
  for (const char* realm : {"", "x", "file:///etc/passwd",
                            "http://127.0.0.1:0/", "http://u:p@127.0.0.1/",
                            "gopher://127.0.0.1/", "http://registry.test/"}) {
    const absl::Status status = Result([&](const ServerRequest&,
                                           Exchange* exchange) {
      exchange->Respond(
          401,
          {{"WWW-Authenticate", absl::StrCat("Bearer realm=\"", realm, "\"")}},
          "");
    });
    EXPECT_FALSE(status.ok()) << realm;
  }
}

TEST_F(HostileRegistryTest, WordsOfTheServerAreNotRepeated) {
  const absl::Status status = Result([](const ServerRequest&,
                                        Exchange* exchange) {
    exchange->Respond(403, {{"X-Echo", "secret"}},
                      R"({"errors":[{"code":"DENIED","message":"secret"}]})");
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(status.ToString(), Not(HasSubstr("secret")));
}

// A proxy on loopback: it gets what is for a registry elsewhere.
TEST_F(HostileRegistryTest, ProxyIsUsedAndItsPasswordIsNotTold) {
  HttpServer proxy([&](const ServerRequest& request, Exchange* exchange) {
    content_.Serve(request, exchange);
  });
  proxies_.http = absl::StrCat("http://kim:secret@", proxy.host());
  proxies_.https = proxies_.http;
  WriteHosts("registry.test", "server = \"http://registry.test\"\n");
  const auto document = Begin("registry.test")->ResolveTag("v1", Patience());
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(proxy.requests()[0].target,
            "http://registry.test/v2/app/web/manifests/v1");
  EXPECT_EQ(proxy.requests()[0].Get("proxy-authorization"),
            BasicAuthorization("kim", "secret"));
}

TEST_F(HostileRegistryTest, ProxyThatRefuses) {
  HttpServer proxy([](const ServerRequest&, Exchange* exchange) {
    exchange->Respond(407, {{"Proxy-Authenticate", "Basic realm=x"}}, "");
    exchange->Close();
  });
  proxies_.http = absl::StrCat("http://kim:secret@", proxy.host());
  proxies_.https = proxies_.http;
  WriteHosts("plain.test", "server = \"http://plain.test\"\n");
  for (const char* registry : {"plain.test", "registry.test"}) {
    const auto document = Begin(registry)->ResolveTag("v1", Patience());
    EXPECT_EQ(document.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(document.status().ToString(), HasSubstr("407"));
    EXPECT_THAT(document.status().ToString(), Not(HasSubstr("secret")));
  }
  EXPECT_EQ(proxy.requests().back().method, "CONNECT");
}

TEST_F(HostileRegistryTest, OddProxyIsNotRepeatedWithItsPassword) {
  proxies_.https = "nonsense://kim:secret@127.0.0.1:1";
  const auto document = Begin("registry.test")->ResolveTag("v1", Patience());
  EXPECT_EQ(document.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(document.status().ToString(), Not(HasSubstr("secret")));
}

TEST_F(HostileRegistryTest, HandshakeThatIsNotAnsweredIsGivenUp) {
  options_.limits.connect = absl::Milliseconds(300);
  options_.retries.tries = 1;
  // Connects, because the kernel does that, and nobody is there.
  base::UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(bind(listener.get(), raw, size), 0);
  ASSERT_EQ(listen(listener.get(), 8), 0);
  ASSERT_EQ(getsockname(listener.get(), raw, &size), 0);
  WriteHosts("silent.test", absl::StrCat("server = \"https://127.0.0.1:",
                                         ntohs(address.sin_port), "\"\n"));
  const auto document = Begin("silent.test")->ResolveTag("v1", Patience());
  EXPECT_EQ(document.status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(HostileRegistryTest, EnvironmentAndNetrcAreNotRead) {
  HttpServer server([&](const ServerRequest& request, Exchange* exchange) {
    content_.Serve(request, exchange);
  });
  WriteFile(".netrc", "default login kim password secret\n");
  setenv("HOME", options_.hosts_dir.c_str(), 1);
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  const auto document = Resolve(server);
  unsetenv("http_proxy");
  EXPECT_TRUE(document.ok()) << document.status();
  EXPECT_FALSE(server.requests()[0].Has("authorization"));
}

TEST_F(HostileRegistryTest, PlainHttpIsOnlyForLoopbackAndWhereConfigured) {
  // Nothing but a proxy sees where a request for elsewhere goes.
  HttpServer proxy([](const ServerRequest&, Exchange* exchange) {
    exchange->Respond(502, {}, "");
    exchange->Close();
  });
  proxies_.http = proxy.url();
  proxies_.https = proxy.url();
  EXPECT_FALSE(Begin("registry.test")->ResolveTag("v1", Patience()).ok());
  ASSERT_FALSE(proxy.requests().empty());
  for (const ServerRequest& request : proxy.requests()) {
    EXPECT_EQ(request.method, "CONNECT");
  }
}

}  // namespace
}  // namespace warren::registry
