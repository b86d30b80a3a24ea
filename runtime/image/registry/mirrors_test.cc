#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
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
using testing::ServerRequest;

// A registry that is honest, behind a mirror that is not.
class MirrorTest : public testing::ClientFixture {
 protected:
  MirrorTest() : origin_(Honest(&content_)) {
    content_.AddManifest("v1", kManifest, kManifestType);
    content_.AddBlob(blob_);
  }

  static HttpServer::Handler Honest(const Content* content) {
    return [content](const ServerRequest& request, Exchange* exchange) {
      content->Serve(request, exchange);
    };
  }

  // The hosts of the registry "image.example", in order.
  std::unique_ptr<Pull> BeginWith(const std::vector<std::string>& mirrors,
                                  const std::string& more = "") {
    std::string toml = absl::StrCat("server = \"", origin_.url(), "\"\n");
    for (const std::string& mirror : mirrors) {
      absl::StrAppend(&toml, "[host.\"", mirror, "\"]\n", more);
    }
    WriteHosts("image.example", toml);
    return Begin("image.example");
  }

  // Both kinds of requests, past a mirror that does `what`.
  void ExpectFallback(const HttpServer::Handler& what) {
    HttpServer mirror(what);
    auto pull = BeginWith({mirror.url()});
    const auto document = pull->ResolveTag("v1", Patience());
    ASSERT_TRUE(document.ok()) << document.status();
    EXPECT_EQ(document->bytes, kManifest);
    const auto fetched = FetchToString(pull.get(), blob_, Patience());
    ASSERT_TRUE(fetched.ok()) << fetched.status();
    EXPECT_EQ(*fetched, blob_);
    ASSERT_FALSE(pull->Troubles().empty());
    EXPECT_THAT(pull->Troubles()[0], HasSubstr(mirror.host()));
  }

  const std::string blob_ = Noise(200'000);
  Content content_;
  HttpServer origin_;
};

TEST_F(MirrorTest, ServesAllAndIsToldTheRegistry) {
  HttpServer mirror(Honest(&content_));
  auto pull = BeginWith({mirror.url()});
  ASSERT_TRUE(pull->ResolveTag("v1", Patience()).ok());
  ASSERT_TRUE(FetchToString(pull.get(), blob_, Patience()).ok());
  EXPECT_TRUE(origin_.requests().empty());
  EXPECT_EQ(mirror.requests()[0].target,
            "/v2/app/web/manifests/v1?ns=image.example");
  EXPECT_TRUE(pull->Troubles().empty());
}

TEST_F(MirrorTest, AnyRefusalTriesTheNext) {
  for (const int status :
       {204, 301, 400, 401, 403, 404, 416, 418, 429, 500, 503}) {
    ExpectFallback([&](const ServerRequest&, Exchange* exchange) {
      exchange->Respond(status, {{"Retry-After", "3600"}}, "");
    });
  }
}

TEST_F(MirrorTest, AnyNonsenseTriesTheNext) {
  ExpectFallback([](const ServerRequest&, Exchange* exchange) {
    exchange->Respond(200, {{"Content-Type", "text/html"}},
                      "<html>Log in</html>");
  });
  ExpectFallback([](const ServerRequest&, Exchange* exchange) {
    exchange->Write("SSH-2.0-OpenSSH\r\n");
    exchange->Close();
  });
  ExpectFallback(
      [](const ServerRequest&, Exchange* exchange) { exchange->Close(); });
  ExpectFallback(
      [](const ServerRequest&, Exchange* exchange) { exchange->Reset(); });
}

TEST_F(MirrorTest, HangTriesTheNext) {
  options_.limits.header = absl::Milliseconds(300);
  ExpectFallback(
      [](const ServerRequest&, Exchange* exchange) { exchange->AwaitEnd(); });
}

TEST_F(MirrorTest, CutInTheMiddleGoesOnAtTheRegistry) {
  HttpServer mirror([&](const ServerRequest&, Exchange* exchange) {
    exchange->Head(200, {{"Content-Length", absl::StrCat(blob_.size())}});
    exchange->Write(blob_.substr(0, 1000));
    exchange->Close();
  });
  auto pull = BeginWith({mirror.url()});
  const auto fetched = FetchToString(pull.get(), blob_, Patience());
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, blob_);
  EXPECT_EQ(origin_.requests()[0].Get("range"), "bytes=1000-");
}

TEST_F(MirrorTest, IMG_4_WrongBytesTryTheNext) {
  ExpectFallback([&](const ServerRequest& request, Exchange* exchange) {
    const bool blob = absl::StrContains(request.target, "/blobs/");
    exchange->Respond(
        200,
        {{"Docker-Content-Digest",
          image::Digest::Of("something else").ToString()}},
        blob ? std::string(blob_.size(), 'x') : std::string(kManifest));
  });
}

TEST_F(MirrorTest, ClosedPortAndUnknownNameTryTheNext) {
  uint16_t closed = 0;
  {
    HttpServer gone([](const ServerRequest&, Exchange*) {});
    closed = gone.port();
  }
  auto pull = BeginWith({absl::StrCat("http://127.0.0.1:", closed),
                         "http://no-such-host.invalid"});
  const auto document = pull->ResolveTag("v1", Patience());
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(pull->Troubles().size(), 2);
}

TEST_F(MirrorTest, ErrorListsEveryHostAndHasTheCodeOfTheRegistry) {
  HttpServer one([](const ServerRequest&, Exchange* exchange) {
    exchange->Respond(403, {}, R"({"errors":[{"code":"DENIED"}]})");
  });
  HttpServer two([](const ServerRequest&, Exchange* exchange) {
    exchange->Respond(404, {}, "");
  });
  auto pull = BeginWith({one.url(), two.url()});
  const auto document = pull->ResolveTag("v9", Patience());
  EXPECT_EQ(document.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(document.status().message(),
            absl::StrCat("manifest v9: ", one.host(), ": HTTP 403 (DENIED); ",
                         two.host(), ": HTTP 404; ", origin_.host(),
                         ": HTTP 404 (MANIFEST_UNKNOWN)"));
}

TEST_F(MirrorTest, CapabilitiesAndOwnPath) {
  HttpServer mirror(Honest(&content_));
  auto pull = BeginWith({mirror.url() + "/own/base"},
                        "capabilities = [\"pull\"]\noverride_path = true\n");
  ASSERT_TRUE(pull->ResolveTag("v1", Patience()).ok());
  EXPECT_TRUE(mirror.requests().empty());
  ASSERT_TRUE(FetchToString(pull.get(), blob_, Patience()).ok());
  ASSERT_EQ(mirror.requests().size(), 1);
  EXPECT_TRUE(absl::StartsWith(mirror.requests()[0].target,
                               "/own/base/app/web/blobs/sha256:"));
}

TEST_F(MirrorTest, HeadThatTheMirrorCannotAnswerIsAskedOfTheRegistry) {
  HttpServer mirror([](const ServerRequest&, Exchange* exchange) {
    exchange->Respond(404, {}, "");
  });
  auto pull = BeginWith({mirror.url()});
  const auto found = pull->LookUpTag("v1", Patience());
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, image::Digest::Of(kManifest));
}

TEST_F(MirrorTest, LongTransferIsResumedAtTheMirror) {
  HttpServer mirror([&](const ServerRequest& request, Exchange* exchange) {
    if (testing::RangeStart(request) > 0) {
      content_.Serve(request, exchange);
      return;
    }
    exchange->Head(200, {{"Content-Length", absl::StrCat(blob_.size())}});
    exchange->Write(blob_.substr(0, 100'000));
    exchange->Close();
  });
  auto pull = BeginWith({mirror.url()});
  const auto fetched = FetchToString(pull.get(), blob_, Patience());
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, blob_);
  EXPECT_TRUE(origin_.requests().empty());
}

TEST_F(MirrorTest, DigestOfTheMirrorIsPinned) {
  const std::string other = absl::StrCat(kManifest, " ");
  Content stale;
  stale.AddManifest("v1", other, kManifestType);
  bool up = true;
  HttpServer mirror([&](const ServerRequest& request, Exchange* exchange) {
    if (up) {
      stale.Serve(request, exchange);
    } else {
      exchange->Respond(500, {}, "");
    }
  });
  auto pull = BeginWith({mirror.url()});
  ASSERT_TRUE(pull->ResolveTag("v1", Patience()).ok());
  up = false;
  // The registry has another image under that tag: it is not mixed in.
  const auto again = pull->ResolveTag("v1", Patience());
  EXPECT_FALSE(again.ok());
}

}  // namespace
}  // namespace warren::registry
