#include "runtime/image/registry/redirects.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>

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
using testing::RangeStart;
using testing::ServerRequest;
using testing::TlsIdentity;

constexpr char kQuery[] =
    "?X-Sig=a%2Fb%2fc%3D%3d+d;e~f&x=%20&y==&sig=%7e.._-!*'()&z";

TEST(RegistryRedirect, WhatIsOneAndWhereItLeads) {
  const Url from = *ParseUrl("https://r.example/v2/a/blobs/x?ns=y");
  for (const int status : {301, 302, 303, 307, 308}) {
    const auto next = RedirectOf(from, {status, {{"location", "/z?q"}}});
    ASSERT_TRUE(next.ok() && next->has_value()) << status;
    EXPECT_EQ((*next)->ToString(), "https://r.example/z?q");
  }
  for (const int status : {200, 206, 300, 304, 305, 306, 401, 404}) {
    const auto next = RedirectOf(from, {status, {{"Location", "/z"}}});
    EXPECT_TRUE(next.ok() && !next->has_value()) << status;
  }
}

TEST(RegistryRedirect, RefusedOnes) {
  const Url from = *ParseUrl("https://r.example/x");
  for (const Headers& headers :
       {Headers{}, Headers{{"Location", "http://r.example/x"}},
        Headers{{"Location", "//u:secret@r.example/x"}},
        Headers{{"Location", "file:///etc/passwd"}},
        Headers{{"Location", "https://r.example/\r\nX: y"}}}) {
    const auto next = RedirectOf(from, {302, headers});
    EXPECT_EQ(next.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(next.status().ToString(), Not(HasSubstr("secret")));
  }
}

// A registry whose blobs lie at another host, behind signed addresses.
class SignedBlobsTest : public testing::ClientFixture {
 protected:
  SignedBlobsTest()
      : store_([this](const ServerRequest& request, Exchange* exchange) {
          OnStore(request, exchange);
        }),
        registry_([this](const ServerRequest& request, Exchange* exchange) {
          OnRegistry(request, exchange);
        }) {
    content_.AddBlob(blob_);
  }

  void OnStore(const ServerRequest& request, Exchange* exchange) {
    const std::string wanted =
        absl::StrCat("/data/blobs/", image::Digest::Of(blob_).ToString(),
                     kQuery, signatures_.load());
    if (request.Has("authorization")) {
      exchange->Respond(400, {}, "two kinds of authorization");
    } else if (request.target != wanted) {
      exchange->Respond(403, {}, "bad signature");
    } else if (cut_at_ > 0 && RangeStart(request) == 0) {
      ++signatures_;  // the old address is worth nothing from now on
      exchange->Head(200, {{"Content-Length", absl::StrCat(blob_.size())}});
      exchange->Write(blob_.substr(0, cut_at_));
      exchange->Close();
    } else {
      content_.Serve(request, exchange);
    }
  }

  void OnRegistry(const ServerRequest& request, Exchange* exchange) {
    if (request.Get("authorization") !=
        BasicAuthorization("kim", "p:w secret")) {
      exchange->Respond(401, {{"WWW-Authenticate", "Basic realm=x"}}, "");
      return;
    }
    exchange->Respond(
        307,
        {{"Location", absl::StrCat(store_.url(), "/data/blobs/",
                                   image::Digest::Of(blob_).ToString(), kQuery,
                                   signatures_.load())}},
        "");
  }

  const std::string blob_ = Noise(300'000);
  Content content_;
  std::atomic<size_t> cut_at_{0};
  std::atomic<int> signatures_{0};
  HttpServer store_;
  HttpServer registry_;
};

TEST_F(SignedBlobsTest, IMG_5_QueryIsKeptAndAuthorizationStays) {
  auto pull = Begin(registry_.host(), Kim());
  const auto fetched = FetchToString(pull.get(), blob_, Patience());
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, blob_);
  EXPECT_EQ(store_.requests().size(), 1);
}

TEST_F(SignedBlobsTest, CutStartsAgainAtTheRegistryAndResumes) {
  cut_at_ = 180'000;
  auto pull = Begin(registry_.host(), Kim());
  const auto fetched = FetchToString(pull.get(), blob_, Patience());
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, blob_);
  ASSERT_EQ(store_.requests().size(), 2);
  EXPECT_GT(RangeStart(store_.requests()[1]), 0);
}

class RedirectTest : public testing::ClientFixture {
 protected:
  RedirectTest() { content_.AddManifest("v1", kManifest, kManifestType); }
  absl::StatusOr<Document> Resolve(const HttpServer& server) {
    return Begin(server.host())->ResolveTag("v1", Patience());
  }
  Content content_;
};

TEST_F(RedirectTest, TenHopsAndNoMore) {
  std::atomic<int> hops{10};
  HttpServer server([&](const ServerRequest& request, Exchange* exchange) {
    int hop = 0;
    const size_t at = request.target.find("?hop=");
    if (at != std::string::npos) {
      ASSERT_TRUE(absl::SimpleAtoi(request.target.substr(at + 5), &hop));
    }
    if (hop == hops) {
      content_.Serve(request, exchange);
    } else {
      exchange->Respond(302, {{"Location", absl::StrCat("?hop=", hop + 1)}},
                        "");
    }
  });
  const auto ten = Resolve(server);
  EXPECT_TRUE(ten.ok()) << ten.status();
  hops = 1'000'000;
  const size_t before = server.requests().size();
  const auto endless = Resolve(server);
  EXPECT_EQ(endless.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(server.requests().size() - before, 11);
}

TEST_F(RedirectTest, ManifestAtAHostThatAsksForATokenOfItsOwn) {
  HttpServer tokens([](const ServerRequest&, Exchange* exchange) {
    exchange->Respond(200, {}, R"({"token":"second"})");
  });
  HttpServer second([&](const ServerRequest& request, Exchange* exchange) {
    if (request.Get("authorization") == "Bearer second") {
      content_.Serve(request, exchange);
    } else {
      exchange->Respond(401,
                        {{"WWW-Authenticate",
                          absl::StrCat("Bearer realm=", tokens.url(), "/t")}},
                        "");
    }
  });
  HttpServer first([&](const ServerRequest& request, Exchange* exchange) {
    if (request.Has("authorization")) {
      exchange->Respond(
          307, {{"Location", absl::StrCat(second.url(), request.target)}}, "");
    } else {
      exchange->Respond(401, {{"WWW-Authenticate", "Basic realm=x"}}, "");
    }
  });
  const auto document =
      Begin(first.host(), Kim())->ResolveTag("v1", Patience());
  ASSERT_TRUE(document.ok()) << document.status();
  // IMG-5: anonymously.
  for (const ServerRequest& request : tokens.requests()) {
    EXPECT_EQ(request.method, "GET");
    EXPECT_FALSE(request.Has("authorization"));
  }
  EXPECT_FALSE(second.requests()[0].Has("authorization"));
}

TEST_F(RedirectTest, IMG_5_TargetThatAsksForBasicGetsNone) {
  HttpServer second([](const ServerRequest&, Exchange* exchange) {
    exchange->Respond(401, {{"WWW-Authenticate", "Basic realm=x"}}, "");
  });
  HttpServer first([&](const ServerRequest& request, Exchange* exchange) {
    exchange->Respond(
        307, {{"Location", absl::StrCat(second.url(), request.target)}}, "");
  });
  const auto document =
      Begin(first.host(), Kim())->ResolveTag("v1", Patience());
  EXPECT_EQ(document.status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(document.status().message()),
              HasSubstr(absl::StrCat("redirected to ", second.host())));
  for (const ServerRequest& request : second.requests()) {
    EXPECT_FALSE(request.Has("authorization"));
  }
}

TEST_F(RedirectTest, FromHttpsToHttpIsRefused) {
  const TlsIdentity identity;
  HttpServer plain([&](const ServerRequest& request, Exchange* exchange) {
    content_.Serve(request, exchange);
  });
  HttpServer server(
      [&](const ServerRequest& request, Exchange* exchange) {
        exchange->Respond(
            307, {{"Location", absl::StrCat(plain.url(), request.target)}}, "");
      },
      &identity);
  WriteHosts(server.host(), "ca = \"ca.pem\"\n");
  WriteFile(server.host() + "/ca.pem", identity.ca_pem());
  const auto document = Resolve(server);
  EXPECT_EQ(document.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(plain.requests().empty());
}

TEST_F(RedirectTest, FromHttpToHttpsIsFollowed) {
  const TlsIdentity identity;
  HttpServer secure(
      [&](const ServerRequest& request, Exchange* exchange) {
        content_.Serve(request, exchange);
      },
      &identity);
  HttpServer server([&](const ServerRequest& request, Exchange* exchange) {
    exchange->Respond(
        307, {{"Location", absl::StrCat(secure.url(), request.target)}}, "");
  });
  WriteHosts(server.host(), absl::StrCat("server = \"", server.url(),
                                         "\"\nca = \"ca.pem\"\n"));
  WriteFile(server.host() + "/ca.pem", identity.ca_pem());
  const auto document = Resolve(server);
  EXPECT_TRUE(document.ok()) << document.status();
}

TEST_F(RedirectTest, HeadersOfTheConfigurationStayAtTheirHost) {
  HttpServer second([&](const ServerRequest& request, Exchange* exchange) {
    content_.Serve(request, exchange);
  });
  HttpServer first([&](const ServerRequest& request, Exchange* exchange) {
    exchange->Respond(
        307, {{"Location", absl::StrCat(second.url(), request.target)}}, "");
  });
  WriteHosts(first.host(), absl::StrCat("server = \"", first.url(),
                                        "\"\n[header]\nx-secret = \"s\"\n"));
  EXPECT_TRUE(Resolve(first).ok());
  EXPECT_EQ(first.requests()[0].Get("x-secret"), "s");
  EXPECT_FALSE(second.requests()[0].Has("x-secret"));
}

}  // namespace
}  // namespace warren::registry
