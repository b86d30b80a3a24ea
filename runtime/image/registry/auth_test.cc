#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "runtime/image/registry/testing/client_fixture.h"

namespace warren::registry {
namespace {

using testing::Content;
using testing::Exchange;
using testing::FetchToString;
using ::testing::HasSubstr;
using testing::HttpServer;
using testing::kManifest;
using testing::kManifestType;
using testing::Noise;
using ::testing::Not;
using testing::ServerHeaders;
using testing::ServerRequest;

// A registry that asks for what a test says, and its token server.
class RegistryAuthTest : public testing::ClientFixture {
 protected:
  RegistryAuthTest()
      : tokens_([this](const ServerRequest& request, Exchange* exchange) {
          OnToken(request, exchange);
        }),
        registry_([this](const ServerRequest& request, Exchange* exchange) {
          OnRegistry(request, exchange);
        }) {
    content_.AddManifest("v1", kManifest, kManifestType);
    content_.AddBlob(blob_);
    challenges_ = {BearerChallenge()};
  }

  std::string BearerChallenge() const {
    return absl::StrCat("Bearer realm=\"", tokens_.url(),
                        "/t\",service=\"reg\"");
  }

  void OnToken(const ServerRequest& request, Exchange* exchange) {
    if (request.method == "POST") {
      exchange->Respond(405, {}, "");
      return;
    }
    exchange->Respond(200, {},
                      absl::StrCat(R"({"token":"token-)", ++fetched_, "\"}"));
  }

  void OnRegistry(const ServerRequest& request, Exchange* exchange) {
    const std::string sent = request.Get("authorization");
    if (accepted_.empty() ? absl::StartsWith(sent, "Bearer token-")
                          : sent == accepted_) {
      content_.Serve(request, exchange);
      return;
    }
    ServerHeaders headers;
    for (const std::string& challenge : challenges_) {
      headers.emplace_back("www-authenticate", challenge);
    }
    exchange->Respond(401, headers, "");
  }

  absl::Status Resolve(const Credentials& credentials) {
    return Begin(registry_.host(), credentials)
        ->ResolveTag("v1", Patience())
        .status();
  }

  Content content_;
  const std::string blob_ = Noise(1000);
  std::vector<std::string> challenges_;
  std::string accepted_;  // the one Authorization; empty: any token
  std::atomic<int> fetched_{0};
  HttpServer tokens_;
  HttpServer registry_;
};

TEST_F(RegistryAuthTest, AnonymousToken) {
  EXPECT_TRUE(Resolve({}).ok());
  ASSERT_EQ(tokens_.requests().size(), 1);
  EXPECT_EQ(tokens_.requests()[0].target,
            "/t?service=reg&scope=repository%3Aapp%2Fweb%3Apull");
  EXPECT_FALSE(tokens_.requests()[0].Has("authorization"));
}

TEST_F(RegistryAuthTest, PasswordBuysAToken) {
  EXPECT_TRUE(Resolve(Kim()).ok());
  ASSERT_EQ(tokens_.requests().size(), 2);
  EXPECT_EQ(tokens_.requests()[1].Get("authorization"),
            BasicAuthorization("kim", "p:w secret"));
  // The registry saw the token and never the password.
  for (const ServerRequest& request : registry_.requests()) {
    EXPECT_THAT(request.Get("authorization"), Not(HasSubstr("Basic")));
  }
}

TEST_F(RegistryAuthTest, TokenIsUsedForTheWholePull) {
  auto pull = Begin(registry_.host());
  ASSERT_TRUE(pull->ResolveTag("v1", Patience()).ok());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(FetchToString(pull.get(), blob_, Patience()).ok());
  }
  EXPECT_EQ(fetched_, 1);
}

TEST_F(RegistryAuthTest, TokenThatExpiresInTheMiddleIsRenewedOnce) {
  auto pull = Begin(registry_.host());
  accepted_ = "Bearer token-1";
  ASSERT_TRUE(pull->ResolveTag("v1", Patience()).ok());
  accepted_ = "Bearer token-2";
  ASSERT_TRUE(FetchToString(pull.get(), blob_, Patience()).ok());
  EXPECT_EQ(fetched_, 2);
  accepted_ = "Bearer nothing";
  const auto refused = FetchToString(pull.get(), blob_, Patience());
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(fetched_, 3);
}

TEST_F(RegistryAuthTest, ParallelRequestsShareOneRenewal) {
  auto pull = Begin(registry_.host());
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      EXPECT_TRUE(FetchToString(pull.get(), blob_, Patience()).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fetched_, 1);
}

TEST_F(RegistryAuthTest, Basic) {
  accepted_ = BasicAuthorization("kim", "p:w secret");
  for (const char* challenge :
       {"Basic realm=\"x\"", "BASIC realm=\"x\"", "basic", "Basic realm=/"}) {
    challenges_ = {challenge};
    EXPECT_TRUE(Resolve(Kim()).ok()) << challenge;
  }
  challenges_ = {"Basic realm=x"};
  const absl::Status anonymous = Resolve({});
  EXPECT_EQ(anonymous.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(anonymous.message()), HasSubstr(registry_.host()));
}

TEST_F(RegistryAuthTest, BearerGoesBeforeBasic) {
  for (const std::vector<std::string>& challenges :
       {std::vector<std::string>{"Basic realm=x", BearerChallenge()},
        std::vector<std::string>{BearerChallenge(), "Basic realm=x"},
        std::vector<std::string>{
            absl::StrCat("Negotiate, Basic realm=x, ", BearerChallenge())}}) {
    challenges_ = challenges;
    EXPECT_TRUE(Resolve(Kim()).ok());
  }
}

TEST_F(RegistryAuthTest, ChangeOfSchemeIsFollowedOnce) {
  // Harbor: a token that is too small is answered with Basic.
  accepted_ = BasicAuthorization("kim", "p:w secret");
  challenges_ = {BearerChallenge(), "Basic realm=x"};
  EXPECT_TRUE(Resolve(Kim()).ok());
  EXPECT_EQ(registry_.requests().size(), 3);
}

TEST_F(RegistryAuthTest, EndsAfterThreeRounds) {
  accepted_ = "never";
  challenges_ = {BearerChallenge(), "Basic realm=x"};
  const absl::Status refused = Resolve(Kim());
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("401"));
  EXPECT_LE(registry_.requests().size(), 3);
  EXPECT_EQ(fetched_, 1);
}

TEST_F(RegistryAuthTest, RegistryTokenIsUsedAsItIs) {
  accepted_ = "Bearer given";
  Credentials given;
  given.kind = Credentials::Kind::kRegistryToken;
  given.secret = "given";
  EXPECT_TRUE(Resolve(given).ok());
  challenges_ = {"Bearer"};
  EXPECT_TRUE(Resolve(given).ok());
  EXPECT_TRUE(tokens_.requests().empty());
}

TEST_F(RegistryAuthTest, IMG_5_MirrorsGetNoCredentials) {
  // The mirror asks for a token at a realm of its choice, then by Basic.
  HttpServer evil([](const ServerRequest&, Exchange* exchange) {
    exchange->Respond(200, {}, R"({"token":"of-the-mirror"})");
  });
  HttpServer mirror([&](const ServerRequest& request, Exchange* exchange) {
    exchange->Respond(401,
                      {{"WWW-Authenticate",
                        request.Has("authorization")
                            ? std::string("Basic realm=x")
                            : absl::StrCat("Bearer realm=", evil.url(), "/t")}},
                      "");
  });
  WriteHosts(registry_.host(), absl::StrCat("[host.\"", mirror.url(), "\"]\n"));
  EXPECT_TRUE(Resolve(Kim()).ok());
  ASSERT_FALSE(evil.requests().empty());
  for (const ServerRequest& request : evil.requests()) {
    EXPECT_EQ(request.method, "GET");
    EXPECT_FALSE(request.Has("authorization"));
    EXPECT_THAT(request.target, Not(HasSubstr("kim")));
  }
  for (const ServerRequest& request : mirror.requests()) {
    EXPECT_THAT(request.Get("authorization"), Not(HasSubstr("Basic")));
  }
}

TEST_F(RegistryAuthTest, MirrorGetsTheHeadersOfItsConfigurationAlone) {
  HttpServer mirror([](const ServerRequest&, Exchange* exchange) {
    exchange->Respond(500, {}, "");
  });
  WriteHosts(registry_.host(),
             absl::StrCat("[host.\"", mirror.url(), "\".header]\n",
                          "authorization = \"Basic mirror\"\n"));
  EXPECT_TRUE(Resolve({}).ok());
  EXPECT_EQ(mirror.requests()[0].Get("authorization"), "Basic mirror");
  EXPECT_FALSE(registry_.requests()[0].Has("authorization"));
}

TEST_F(RegistryAuthTest, IMG_5_ErrorsHoldNoSecret) {
  accepted_ = "never";
  challenges_ = {BearerChallenge()};
  const absl::Status refused = Resolve(Kim());
  for (const char* secret : {"p:w", "cDp3", "token-1", "Basic", "kim"}) {
    EXPECT_THAT(refused.ToString(), Not(HasSubstr(secret)));
  }
}

TEST_F(RegistryAuthTest, MirrorsTokenServerThatRefusesLeadsToTheRegistry) {
  HttpServer refusing([](const ServerRequest&, Exchange* exchange) {
    exchange->Respond(403, {}, "");
  });
  HttpServer mirror([&](const ServerRequest&, Exchange* exchange) {
    exchange->Respond(401,
                      {{"WWW-Authenticate",
                        absl::StrCat("Bearer realm=", refusing.url(), "/t")}},
                      "");
  });
  WriteHosts(registry_.host(), absl::StrCat("[host.\"", mirror.url(), "\"]\n"));
  auto pull = Begin(registry_.host());
  EXPECT_TRUE(pull->ResolveTag("v1", Patience()).ok());
  ASSERT_EQ(pull->Troubles().size(), 1);
  EXPECT_EQ(pull->Troubles()[0], absl::StrCat(mirror.host(), ": token server ",
                                              refusing.host(), ": HTTP 403"));
}

}  // namespace
}  // namespace warren::registry
